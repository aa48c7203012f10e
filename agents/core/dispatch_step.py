"""One step of a conversation while it is being decided: the state so far and what is said.

A ``Step`` is made and dropped inside one ``decide``; nothing of it is shared.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, repeat
from typing import Any, Final

from agents.core import seen
from agents.core.conversation import Conversation, Pending, Trigger, evolve
from agents.core.sequels import Sequels, caused_by
from agents.core.spoken import Spoken
from agents.core.texts import LINE_CHARS, extended, shortened
from schemas.changing import replace
from schemas.errors import Rejected
from schemas.events import (
    Author,
    ConversationChanged,
    Envelope,
    Event,
    OutboundKind,
    OutboundRequested,
    Outcome,
    OutcomeKind,
    Position,
    SettingsChanged,
    TimerFired,
)
from schemas.ids import derived
from schemas.topics import CONVERSATION_CHANGED, OUTBOUND_REQUESTED

CODE_CHARS: Final = 120
"""Longest reason: codes of commands and agents come from outside."""


class Step:
    """What is being decided.

    Attributes:
        state: The conversation as decided so far.
        settings: The tenant's settings, or None when the tenant is not known.
        repeated: True when the event is known by an id that left the state.
        now_ms: Time of the decision.
        effects: What is said, in order; the last one is the ConversationChanged.
    """

    def __init__(
        self,
        state: Conversation,
        event: Envelope,
        *,
        source: Position,
        now_ms: int,
        settings: SettingsChanged | None,
        repeated: bool = False,
    ) -> None:
        self.state = replace(state, seq=state.seq + 1)
        self.settings = settings
        self.repeated = repeated
        self._left = seen.leaving(state.seen)
        self.now_ms = now_ms
        self.effects: list[Event] = []
        version = settings.version if settings else 0
        cause = caused_by(source, seq=self.state.seq, now_ms=now_ms, settings_version=version)
        self.sequels = Sequels(event, cause, trace_id=_trace_of(state, event))
        self._phase_before = state.phase
        self._decision = ""
        self._reason = ""
        self._turn_id: str | None = None
        self._outcomes: list[Outcome] = []

    def change(self, **changes: Any) -> None:
        """Change the state, except its phase."""
        self.state = replace(self.state, **changes)

    def move(self, trigger: Trigger, **changes: Any) -> None:
        """Change the phase by the table, and what changes with it."""
        self.state = evolve(self.state, trigger, **changes)

    def arm(self, timer: str, due_ms: int) -> None:
        """Arm a timer, or move its due time."""
        self.change(timers={**self.state.timers, timer: due_ms})

    def disarm(self, *timers: str) -> None:
        """Disarm timers that may be armed."""
        self.change(timers={k: v for k, v in self.state.timers.items() if k not in timers})

    def decided(self, decision: str, reason: str = "", *, turn_id: str | None = None) -> None:
        """Name the decision; the last name given is the one that is published."""
        self._decision = decision
        self._reason = shortened(reason, CODE_CHARS)
        self._turn_id = turn_id or self._turn_id

    def first_time(self, natural_id: str | None) -> bool:
        """Say whether this id is new, and remember it."""
        if natural_id is None or self.repeated or seen.knows(self.state.seen, natural_id):
            return False
        self.change(seen=seen.remember(self.state.seen, natural_id, now_ms=self.now_ms))
        return True

    def ended(
        self,
        messages: Iterable[Pending],
        kind: OutcomeKind,
        reason: str,
        turn_id: str | None = None,
    ) -> None:
        """Give messages their outcome; their words go to the history."""
        messages = tuple(messages)
        for message in messages:
            self.outcome(message.wamid, kind, reason, turn_id)
        self.heard(messages)

    def heard(self, messages: Iterable[Pending]) -> None:
        """Add what the customer said to the history."""
        lines = tuple(
            Spoken(
                role="customer",
                text=shortened(message.text, LINE_CHARS),
                wamid=message.wamid,
                at=message.received_ms,
            )
            for message in messages
        )
        self.change(history=extended(self.state.history, lines))

    def outcome(
        self, wamid: str, kind: OutcomeKind, reason: str, turn_id: str | None = None
    ) -> None:
        """Give one message its outcome."""
        code = shortened(reason, CODE_CHARS)
        self._outcomes.append(Outcome(wamid=wamid, kind=kind, reason=code, turn_id=turn_id))

    def spoke(
        self,
        role: str,
        texts: Iterable[str],
        wamid: str | None = None,
        bubble_ids: Iterable[str] = (),
    ) -> None:
        """Add what was said on our side to the history, with the bubbles that carry it, if any."""
        carried = zip(texts, chain(bubble_ids, repeat(None)), strict=False)
        lines = tuple(
            Spoken(
                role=role,
                text=shortened(text, LINE_CHARS),
                wamid=wamid,
                at=self.now_ms,
                bubble_id=bubble_id,
            )
            for text, bubble_id in carried
        )
        self.change(history=extended(self.state.history, lines))

    def marker(self, reason: str) -> str:
        """Tell the gate the new epoch: it drops what the AI said for an older one."""
        marker_id = derived("marker", self.sequels.event.event_id, self.state.epoch)
        self._outbound(marker_id, Author.AUTOMATION, kind=OutboundKind.MARKER, reason=reason)
        return marker_id

    def read(self, wamid: str | None, turn_id: str | None) -> None:
        """Ask the gate to show that a message was read and that the AI writes, or no longer that.

        A tenant may choose to show neither.
        """
        if self.settings is None or not self.settings.read_receipts:
            return
        receipt_id = derived("read", turn_id if wamid else self.sequels.event.event_id)
        self._outbound(
            receipt_id, Author.AI, kind=OutboundKind.READ, turn_id=turn_id, read_wamid=wamid
        )

    def say(
        self, author: Author, parts: tuple[str, ...], *ids: str, turn_id: str | None = None
    ) -> tuple[str, ...]:
        """Ask the gate to send bubbles; their ids follow from ``ids`` and their place."""
        bubble_ids = tuple(derived("bubble", *ids, ordinal) for ordinal in range(1, len(parts) + 1))
        for ordinal, (bubble_id, text) in enumerate(zip(bubble_ids, parts, strict=True), 1):
            self._outbound(
                bubble_id, author, text=text, ordinal=ordinal, of=len(parts), turn_id=turn_id
            )
            if author is not Author.HUMAN:
                self.change(awaiting=(*self.state.awaiting, bubble_id))
        return bubble_ids

    def _outbound(
        self,
        bubble_id: str,
        author: Author,
        *,
        kind: OutboundKind = OutboundKind.MESSAGE,
        text: str | None = None,
        **more: Any,
    ) -> None:
        self.effects.append(
            OutboundRequested(
                **self.sequels.envelope(OUTBOUND_REQUESTED, bubble_id),
                kind=kind,
                bubble_id=bubble_id,
                epoch=self.state.epoch,
                author=author,
                phone_number_id=self.state.phone_number_id,
                recipient=self.state.person,
                text=text,
                window_expires_at=self.state.window_expires_ms,
                **more,
            )
        )

    def _forget(self) -> None:
        """Let ids leave the state that are kept elsewhere: whoever begins a step keeps them."""
        if self._left:
            newest = max(map(int, self._left))
            self.change(
                seen=seen.without(self.state.seen, self._left),
                seen_elsewhere=max(newest, self.state.seen_elsewhere),
            )

    def finish(self) -> tuple[Conversation, tuple[Event, ...]]:
        """Close the step: the state after it, and what it says."""
        self._forget()
        state, cause = self.state, self.sequels.cause
        changed = ConversationChanged(
            **self.sequels.envelope(CONVERSATION_CHANGED, f"{state.conversation_id}:{cause.seq}"),
            phase=state.phase,
            phase_before=self._phase_before,
            epoch=state.epoch,
            turn_seq=state.turn_seq,
            turn_id=self._turn_id,
            decision=self._decision,
            reason=self._reason,
            intent=state.intent,
            owner=state.owner,
            agent_user=state.agent_user,
            takeover_pending=state.marker_id is not None,
            outcomes=tuple(self._outcomes),
            unread=state.unread,
            window_expires_at=state.window_expires_ms,
            phone_number_id=state.phone_number_id,
        )
        return state, (*self.effects, changed)


def waiting(state: Conversation) -> tuple[Pending, ...]:
    """Return every message without an outcome, oldest first."""
    return (*(state.turn.messages if state.turn else ()), *state.pending)


def typed(state: Conversation) -> bool:
    """Say whether the customer may have been shown that the AI writes, with no end to it yet."""
    return state.turn is not None or state.superseded > 0


def _trace_of(state: Conversation, event: Envelope) -> str:
    """A timer goes on with the trace of the oldest message that waits, if one does."""
    messages = waiting(state) if isinstance(event, TimerFired) else ()
    return messages[0].trace_id if messages else event.trace_id


def opened(
    state: Conversation | None,
    event: Event,
    *,
    source: Position,
    now_ms: int,
    settings: SettingsChanged | None,
    repeated: bool = False,
) -> Step:
    """Begin a step of the event's conversation, with a conversation of its own at first.

    Raises:
        Rejected: The event is of another conversation.
    """
    before = state or Conversation(
        tenant_id=event.tenant_id,
        conversation_id=event.conversation_id,
        customer_id=event.customer_id,
    )
    if before.tenant_id != event.tenant_id or before.conversation_id != event.conversation_id:
        raise Rejected("wrong_conversation")
    return Step(before, event, source=source, now_ms=now_ms, settings=settings, repeated=repeated)
