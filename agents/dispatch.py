"""Dispatch: everything about a conversation -> turns, bubbles, and what became of it.

``inbox.message.received`` | ``inbox.human.replied`` | ``inbox.control.requested`` |
``conversation.timer.fired`` | ``agent.ai.response.generated`` | ``outbound.message.settled``
-> ``routing.handoff.requested`` | ``outbound.message.requested`` |
``memory.update.requested`` | ``conversation.state.changed``.
"""

from __future__ import annotations

from agents.core.conversation import Conversation
from agents.core.dispatch import decide
from agents.core.dispatch_given_up import given_up
from agents.ports import Delivery, Tenants
from schemas.events import Event


async def dispatch(
    state: Conversation | None, event: Event, delivery: Delivery, *, tenants: Tenants
) -> tuple[Conversation, tuple[Event, ...]]:
    """Decide one event of a conversation with the tenant's newest settings.

    Raises:
        Rejected: The event can never be decided here.
    """
    return decide(
        state,
        event,
        source=delivery.source,
        now_ms=delivery.now_ms,
        settings=tenants.get(event.tenant_id),
    )


def parked(
    state: Conversation | None, event: Event, delivery: Delivery, reason: str, *, tenants: Tenants
) -> tuple[Conversation, tuple[Event, ...]]:
    """Say what becomes of a conversation whose event went to the dead letters."""
    return given_up(
        state,
        event,
        source=delivery.source,
        now_ms=delivery.now_ms,
        settings=tenants.get(event.tenant_id),
        reason=reason,
    )
