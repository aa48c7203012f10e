"""One step of the gate while it is being decided: the state so far and what is said."""

from __future__ import annotations

from copy import copy
from typing import Any, Final

from agents.core.gate import Bubble, Gate, trimmed
from agents.core.gate_waits import noticed, pair_doubted, pair_spent, timers_of
from agents.core.sequels import Sequels, caused_by
from agents.ports.whatsapp import Read
from schemas.changing import replace
from schemas.errors import Rejected
from schemas.events import (
    Author,
    BubbleState,
    Envelope,
    Event,
    OutboundKind,
    OutboundRequested,
    OutboundSettled,
    OutboundUpdated,
    Position,
    SettingsChanged,
    TimerFired,
)
from schemas.topics import OUTBOUND_SETTLED, OUTBOUND_UPDATED

AHEAD_MS: Final = 30 * 60_000
"""Nothing here waits so long: what is due later was armed by a worker whose clock was ahead."""


class GateStep:
    """What is being decided; lives as long as the handling of one event.

    Attributes:
        state: The gate as decided so far.
        event: The event.
        now_ms: Time of the decision.
        settings: Settings of the tenant, or None when it is not known.
        fired: The timer whose end this is; empty when it is none, or one that was moved.
        read: The receipt to show, if there is one.
        effects: What is said, in order.
        sequels: Makes the envelopes.
    """

    def __init__(
        self,
        state: Gate,
        event: Envelope,
        *,
        source: Position,
        now_ms: int,
        settings: SettingsChanged | None = None,
    ) -> None:
        self.state = replace(noticed(state, now_ms), seq=state.seq + 1)
        self.event = event
        self.now_ms = now_ms
        self.settings = settings
        self.fired = ""
        self.read: Read | None = None
        self.effects: list[Event] = []
        version = settings.version if settings else 0
        cause = caused_by(source, seq=self.state.seq, now_ms=now_ms, settings_version=version)
        self.sequels = Sequels(event, cause)

    def copy(self) -> GateStep:
        """Return a step that goes on from here without changing this one."""
        other = copy(self)
        other.effects = [*self.effects]
        other.sequels = self.sequels.copy()
        return other

    def change(self, **changes: Any) -> None:
        """Change the state."""
        self.state = replace(self.state, **changes)

    def arm(self, timer: str, due_ms: int) -> None:
        """Arm a timer; a timer that just fired never gets the due time that it had.

        Name and due time are a timer's identity, so the same pair would be a repetition.
        """
        fired = self.event
        if isinstance(fired, TimerFired) and fired.timer == timer:
            foreseen = fired.due_at - self.now_ms < AHEAD_MS
            due_ms = max(due_ms, fired.due_at + 1) if foreseen else due_ms
        self.change(timers={**self.state.timers, timer: due_ms})

    def disarm(self, *timers: str) -> None:
        """Disarm timers that may be armed."""
        self.change(timers={k: v for k, v in self.state.timers.items() if k not in timers})

    def spend(self, at_ms: int, *, sure: bool = False) -> None:
        """Count a message for the customer's own limit.

        Args:
            at_ms: When it was posted, if that is sure; else now: it was before.
            sure: Whether anybody knows when it was.
        """
        count = pair_spent if sure else pair_doubted
        self.change(pair=count(self.state.pair, at_ms))

    def put(self, bubble: Bubble) -> None:
        """Store a bubble in its place."""
        self.change(
            bubbles=tuple(
                bubble if each.bubble_id == bubble.bubble_id else each
                for each in self.state.bubbles
            )
        )

    def updated(self, bubble: Bubble, state: BubbleState, *, text: str | None = None) -> None:
        """Say that a bubble's state changed.

        Its text is said with the first state that is. That it waits is not, when it is over in the
        same step: both would be published together.
        """
        text = self._unsaid(bubble.bubble_id) if text is None else text
        key = f"{bubble.bubble_id}:{state}:{bubble.attempt}"
        self.effects.append(
            OutboundUpdated(
                **self.sequels.envelope(OUTBOUND_UPDATED, key, trace_id=bubble.trace_id),
                bubble_id=bubble.bubble_id,
                turn_id=bubble.turn_id,
                epoch=bubble.epoch,
                author=bubble.author,
                kind=OutboundKind.MESSAGE,
                state=state,
                attempt=bubble.attempt,
                wamid=bubble.wamid,
                text=text,
                error_code=bubble.error_code,
                reason=bubble.reason,
                requested_at=bubble.requested_ms,
                posted_at=bubble.posted_ms or None,
                phone_number_id=bubble.phone_number_id,
            )
        )

    def _unsaid(self, bubble_id: str) -> str | None:
        """Take back that a bubble waits; return the text that was to be said with it."""
        for place, said in enumerate(self.effects):
            if (
                isinstance(said, OutboundUpdated)
                and said.bubble_id == bubble_id
                and said.state is BubbleState.PLANNED
            ):
                del self.effects[place]
                return said.text
        return None

    def settle(self, bubble: Bubble) -> None:
        """Tell dispatch how a bubble ended; its text and its timers are not needed any more."""
        ended = replace(bubble, settled=True, text=None)
        self.put(ended)
        self.disarm(*timers_of(bubble))
        self._tell(bubble, bubble.bubble_id, OutboundKind.MESSAGE, bubble.state)
        self.change(bubbles=trimmed(self.state.bubbles))

    def report(self, bubble: Bubble) -> None:
        """Tell dispatch that WhatsApp did not deliver a bubble that it had accepted."""
        key = f"{bubble.bubble_id}:{OutboundKind.REPORT}"
        self._tell(bubble, key, OutboundKind.REPORT, BubbleState.FAILED)

    def _tell(self, bubble: Bubble, key: str, kind: OutboundKind, state: BubbleState) -> None:
        self.effects.append(
            OutboundSettled(
                **self.sequels.envelope(OUTBOUND_SETTLED, key, trace_id=bubble.trace_id),
                bubble_id=bubble.bubble_id,
                turn_id=bubble.turn_id,
                epoch=bubble.epoch,
                author=bubble.author,
                kind=kind,
                state=state,
                wamid=bubble.wamid,
                error_code=bubble.error_code,
                reason=bubble.reason,
            )
        )

    def end(
        self, bubble: Bubble, state: BubbleState, reason: str = "", *, error_code: int = 0
    ) -> None:
        """End a bubble: say that its state changed, and settle it."""
        ended = replace(bubble, state=state, reason=reason, error_code=error_code)
        self.put(ended)
        self.updated(ended, ended.shown)
        self.settle(ended)
        if state is BubbleState.FAILED:
            self._drop_rest(ended)

    def drop(self, bubble: Bubble, reason: str) -> None:
        """End a bubble that is not sent on purpose."""
        self.end(bubble, BubbleState.DROPPED, reason)

    def _drop_rest(self, failed: Bubble) -> None:
        """Half an answer is worse than none: do not send what follows a part that failed."""
        for bubble in self.state.bubbles:
            if bubble.waits and belongs(bubble, failed):
                self.drop(bubble, "part_failed")

    def applied(self, marker: OutboundRequested) -> None:
        """Tell dispatch that a marker was applied."""
        self.effects.append(
            OutboundSettled(
                **self.sequels.envelope(OUTBOUND_SETTLED, marker.bubble_id),
                bubble_id=marker.bubble_id,
                turn_id=marker.turn_id,
                epoch=marker.epoch,
                author=marker.author,
                kind=OutboundKind.MARKER,
                state=BubbleState.APPLIED,
                reason=marker.reason,
            )
        )


def belongs(bubble: Bubble, other: Bubble) -> bool:
    """Say whether two bubbles are parts of one answer of the AI."""
    same = bubble.turn_id is not None and bubble.turn_id == other.turn_id
    return same and bubble.author is Author.AI


def opened(
    state: Gate | None,
    event: Envelope,
    *,
    source: Position,
    now_ms: int,
    settings: SettingsChanged | None = None,
) -> GateStep:
    """Begin a step of the event's conversation, with a gate of its own at first.

    Raises:
        Rejected: The event is of another conversation.
    """
    before = state or Gate(
        tenant_id=event.tenant_id,
        conversation_id=event.conversation_id,
        customer_id=event.customer_id,
    )
    if before.tenant_id != event.tenant_id or before.conversation_id != event.conversation_id:
        raise Rejected("wrong_conversation")
    return GateStep(before, event, source=source, now_ms=now_ms, settings=settings)
