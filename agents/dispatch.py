"""Dispatch: everything about a conversation -> turns, bubbles, and what became of it.

``inbox.message.received`` | ``inbox.human.replied`` | ``inbox.control.requested`` |
``conversation.timer.fired`` | ``agent.ai.response.generated`` | ``outbound.message.settled``
-> ``routing.handoff.requested`` | ``outbound.message.requested`` |
``memory.update.requested`` | ``conversation.state.changed``.
"""

from __future__ import annotations

from typing import TypedDict

from agents.core import seen
from agents.core.conversation import Conversation
from agents.core.dispatch import TAKEOVER_APPLIED, decide
from agents.core.dispatch_given_up import behind, dropped, given_up
from agents.core.dispatch_return import RETURNED, STAYS
from agents.core.naturals import natural_id
from agents.ports import (
    Archive,
    Delivery,
    HandoffLate,
    Observe,
    TakeoverApplied,
    Takeovers,
    Tenants,
    unobserved,
)
from schemas.events import (
    ConversationChanged,
    Event,
    OutboundKind,
    OutboundRequested,
    Position,
    SettingsChanged,
)


async def dispatch(  # noqa: PLR0913 - ports, keyword-only
    state: Conversation | None,
    event: Event,
    delivery: Delivery,
    *,
    tenants: Tenants,
    takeovers: Takeovers,
    archive: Archive,
    observe: Observe = unobserved,
) -> tuple[Conversation, tuple[Event, ...]]:
    """Decide one event of a conversation with the tenant's newest settings.

    A takeover is written down where tools take their claims before anybody is told of it: two
    topics have no order, so the gate may apply it before the tools stage could have read of it.

    Raises:
        Rejected: The event can never be decided here.
        Unavailable: A takeover cannot be written down, or ids of a hot conversation cannot be
            kept or looked up; the event comes again.
    """
    repeated = await _repeated(state, event, archive, now_ms=delivery.now_ms)
    after, said = decide(
        state,
        event,
        source=delivery.source,
        now_ms=delivery.now_ms,
        settings=tenants.get(event.tenant_id),
        repeated=repeated,
    )
    if after.silenced and any(_marks(each) for each in said):
        await takeovers.bar(after.conversation_id, after.epoch)
    _tell(observe, state, event, said)
    return after, said


async def _repeated(
    state: Conversation | None, event: Event, archive: Archive, *, now_ms: int
) -> bool:
    """Keep the ids that will leave the state, and look for the event's among those that left."""
    if state is None:
        return False
    left = seen.leaving(state.seen)
    if left:
        await archive.keep(state.conversation_id, left)
    natural = natural_id(event)
    if natural is None or not seen.recent(state.seen_elsewhere, now_ms):
        return False
    if seen.knows(state.seen, natural):
        return False
    return await archive.knows(state.conversation_id, seen.packed(natural))


def _marks(effect: Event) -> bool:
    return isinstance(effect, OutboundRequested) and effect.kind is OutboundKind.MARKER


def _tell(
    observe: Observe, before: Conversation | None, event: Event, said: tuple[Event, ...]
) -> None:
    """Measure what people should know of."""
    changed = said[-1]
    if not isinstance(changed, ConversationChanged):
        return
    if changed.decision in (RETURNED, STAYS):
        observe(HandoffLate(decision=changed.decision))
    if changed.decision == TAKEOVER_APPLIED and before is not None:
        # Both times are of the decisions; clocks of two workers may differ a little.
        observe(TakeoverApplied(seconds=max(0, event.occurred_at - before.marker_ms) / 1000))


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
