"""Dispatch: everything about a conversation -> turns, bubbles, and what became of it.

``inbox.message.received`` | ``inbox.human.replied`` | ``inbox.control.requested`` |
``conversation.timer.fired`` | ``agent.ai.response.generated`` | ``outbound.message.settled``
-> ``routing.handoff.requested`` | ``outbound.message.requested`` |
``memory.update.requested`` | ``conversation.state.changed``.
"""

from __future__ import annotations

from typing import TypedDict

from agents.core.conversation import Conversation
from agents.core.dispatch import decide
from agents.core.dispatch_given_up import behind, dropped, given_up
from agents.ports import Delivery, Tenants
from schemas.events import Event, Position, SettingsChanged


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
    return given_up(state, event, **_around(event, delivery, tenants), reason=reason)


def set_behind(
    state: Conversation | None, event: Event, delivery: Delivery, reason: str, *, tenants: Tenants
) -> tuple[Conversation, tuple[Event, ...]]:
    """Say of an event that it waits behind one that was given up."""
    return behind(state, event, **_around(event, delivery, tenants), reason=reason)


def drop(
    state: Conversation | None, event: Event, delivery: Delivery, reason: str, *, tenants: Tenants
) -> tuple[Conversation, tuple[Event, ...]]:
    """Give a parked event its end without deciding it."""
    return dropped(state, event, **_around(event, delivery, tenants), reason=reason)


class _Around(TypedDict):
    source: Position
    now_ms: int
    settings: SettingsChanged | None


def _around(event: Event, delivery: Delivery, tenants: Tenants) -> _Around:
    return {
        "source": delivery.source,
        "now_ms": delivery.now_ms,
        "settings": tenants.get(event.tenant_id),
    }
