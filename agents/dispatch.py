"""Dispatch: everything about a conversation -> turns, bubbles, and what became of it.

``inbox.message.received`` | ``inbox.human.replied`` | ``inbox.control.requested`` |
``conversation.timer.fired`` | ``agent.ai.response.generated`` | ``outbound.message.settled``
-> ``routing.handoff.requested`` | ``outbound.message.requested`` |
``memory.update.requested`` | ``conversation.state.changed``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from agents.core import seen
from agents.core.conversation import Conversation
from agents.core.dispatch import decide
from agents.core.dispatch_given_up import behind, dropped, given_up
from agents.core.dispatch_return import RETURNED, STAYS
from agents.core.dispatch_settled import TAKEOVER_APPLIED
from agents.core.naturals import aside_id, natural_id
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
    await _kept(state, archive)
    repeated = await _left(state, archive, natural_id(event), now_ms=delivery.now_ms)
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


async def _kept(state: Conversation | None, archive: Archive) -> None:
    """Keep the ids that will leave the state in the next step."""
    left = seen.leaving(state.seen) if state is not None else {}
    if state is not None and left:
        await archive.keep(state.conversation_id, left)


async def _left(
    state: Conversation | None, archive: Archive, natural: str | None, *, now_ms: int
) -> bool:
    """Say whether an id is one of those that left the state."""
    if state is None or natural is None or not seen.recent(state.seen_elsewhere, now_ms):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """Says of events what becomes of them that dispatch does not decide.

    It knows repetitions as dispatch does; while the archive is down, events wait (``Unavailable``).

    Attributes:
        tenants: Settings of the tenants.
        archive: Ids that left a conversation's state.
    """

    tenants: Tenants
    archive: Archive

    async def parked(
        self, state: Conversation | None, event: Event, delivery: Delivery, reason: str
    ) -> tuple[Conversation, tuple[Event, ...]]:
        """Say what becomes of a conversation whose event went to the dead letters."""
        around = await self._around(state, event, delivery, natural_id(event), aside_id(event))
        return given_up(state, event, **around, reason=reason)

    async def behind(
        self, state: Conversation | None, event: Event, delivery: Delivery, reason: str
    ) -> tuple[Conversation, tuple[Event, ...]]:
        """Say of an event that it waits behind one that was given up."""
        around = await self._around(state, event, delivery, natural_id(event), aside_id(event))
        return behind(state, event, **around, reason=reason)

    async def dropped(
        self, state: Conversation | None, event: Event, delivery: Delivery, reason: str
    ) -> tuple[Conversation, tuple[Event, ...]]:
        """Give a parked event its end without deciding it."""
        around = await self._around(state, event, delivery, natural_id(event))
        return dropped(state, event, **around, reason=reason)

    async def _around(
        self, state: Conversation | None, event: Event, delivery: Delivery, *ids: str | None
    ) -> _Around:
        await _kept(state, self.archive)
        left = [await _left(state, self.archive, each, now_ms=delivery.now_ms) for each in ids]
        return {
            "source": delivery.source,
            "now_ms": delivery.now_ms,
            "settings": self.tenants.get(event.tenant_id),
            "repeated": any(left),
        }


class _Around(TypedDict):
    source: Position
    now_ms: int
    settings: SettingsChanged | None
    repeated: bool
