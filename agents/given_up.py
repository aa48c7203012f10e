"""What the stages behind dispatch say about an event that went to the dead letters.

Nothing is asked of the world: when even that failed, there is nothing left to ask it for.
"""

from __future__ import annotations

from collections.abc import Mapping

from agents.core import ai_given_up, outbound_given_up, tools_given_up
from agents.core.gate import Gate
from agents.core.toolcalls import ToolCalls
from agents.core.turn import Turn
from agents.core.turnevents import Moment
from agents.ports import Delivery, Tenants, Tool
from schemas.events import Event, ToolCallRequested


async def ai_gave_up(
    state: Turn | None, event: Event, delivery: Delivery, reason: str, *, tenants: Tenants
) -> tuple[Turn, tuple[Event, ...]]:
    """End the turn that waits for the event."""
    settings = tenants.get(event.tenant_id)
    moment = Moment(
        event=event,
        source=delivery.source,
        now_ms=delivery.now_ms,
        settings_version=settings.version if settings else 0,
    )
    return ai_given_up.given_up(state, moment, reason)


async def tools_gave_up(
    state: ToolCalls | None,
    event: Event,
    delivery: Delivery,
    reason: str,
    *,
    toolbox: Mapping[str, Tool],
) -> tuple[ToolCalls, tuple[Event, ...]]:
    """Tell the model that its call failed."""
    moment = Moment(event=event, source=delivery.source, now_ms=delivery.now_ms)
    tool = toolbox.get(event.tool) if isinstance(event, ToolCallRequested) else None
    return tools_given_up.given_up(state, moment, tool, reason)


async def outbound_gave_up(
    state: Gate | None, event: Event, delivery: Delivery, reason: str
) -> tuple[Gate, tuple[Event, ...]]:
    """Settle the bubble that the event was about."""
    return outbound_given_up.given_up(
        state, event, source=delivery.source, now_ms=delivery.now_ms, reason=reason
    )
