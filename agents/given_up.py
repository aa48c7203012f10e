"""What the stages behind dispatch say about an event that went to the dead letters.

Nothing is asked of the world: when even that failed, there is nothing left to ask it for. Only
whether a bubble was posted is looked up, so that nobody takes it for unsent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from agents.core import ai_given_up, outbound_given_up, tools_given_up
from agents.core.gate import Gate
from agents.core.gate_plan import unsent
from agents.core.gate_settle import Posted
from agents.core.toolcalls import ToolCalls
from agents.core.turn import Turn
from agents.core.turnevents import Moment
from agents.outbound import Desk, posted_unwritten
from agents.ports import Delivery, Tenants, Tool, Unknown
from schemas.errors import Unavailable
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
    state: Gate | None, event: Event, delivery: Delivery, reason: str, *, desk: Desk
) -> tuple[Gate, tuple[Event, ...]]:
    """Settle the bubble that the event was about; it may have been posted.

    Raises:
        Rejected: The event belongs to another conversation.
        Unavailable: Postgres is down; the event comes again.
    """
    giving_up = partial(
        outbound_given_up.given_up,
        state,
        event,
        source=delivery.source,
        now_ms=delivery.now_ms,
        reason=reason,
    )
    after, said = giving_up()
    posted = await _posted(unsent(state, said), desk, delivery.now_ms)
    return giving_up(posted=posted) if posted else (after, said)


async def _posted(ended: Iterable[tuple[str, int]], desk: Desk, now_ms: int) -> list[Posted]:
    """Return what was posted; what cannot even be asked about may have been."""
    found = []
    for bubble_id, attempt in ended:
        try:
            posted = await posted_unwritten([(bubble_id, attempt)], desk)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - this bug may be why the event is given up
            posted = Posted(bubble_id=bubble_id, receipt=Unknown(reason="claimed"), at_ms=now_ms)
        found += [posted] if posted is not None else []
    return found
