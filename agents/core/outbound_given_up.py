"""An event that the gate cannot handle: its bubble is settled, so that dispatch knows.

A bubble that may have been posted before the event was given up is ``unknown``, never
``failed``: a person must not take it for unsent. What its claim says is believed.
"""

from __future__ import annotations

from collections.abc import Iterable

from agents.core import seen
from agents.core.gate import Bubble, Gate
from agents.core.gate_next import too_late, wake_next
from agents.core.gate_plan import SEEN_IDS, apply_marker, bubble_of
from agents.core.gate_settle import Posted, recall
from agents.core.gate_status import told_before
from agents.core.gate_step import GateStep, opened
from agents.core.gate_typing import TIMER, stop
from agents.ports.whatsapp import Accepted, NotSent, Refused
from schemas.changing import replace
from schemas.events import (
    Author,
    BubbleState,
    Event,
    OutboundKind,
    OutboundRequested,
    Position,
    TimerFired,
)


def given_up(
    state: Gate | None,
    event: Event,
    *,
    source: Position,
    now_ms: int,
    reason: str,
    posted: Iterable[Posted] = (),
) -> tuple[Gate, tuple[Event, ...]]:
    """Say what becomes of a conversation whose event went to the dead letters.

    A request is settled, a marker is applied all the same (promise I5), and the bubble that
    a timer was for is settled. Other bubbles that wait go on waiting; one of them that was
    posted while the event was tried finds its claim when its turn comes.

    Args:
        state: The gate before; None at first.
        event: The event that is given up.
        source: Where it stands in the log.
        now_ms: Time of the decision, Unix milliseconds.
        reason: Why it is given up, as a short code.
        posted: What was posted of the bubbles that end with it (``gate_plan.unsent``).

    Raises:
        Rejected: The event belongs to another conversation: nothing is said about it.
    """
    step = opened(state, event, source=source, now_ms=now_ms)
    ends = _Ends(step, f"given_up:{reason}", posted)
    match event:
        case OutboundRequested():
            _request(step, event, ends)
        case TimerFired():
            _timer(step, event, ends)
        case _:  # a status: the bubble's own timer is its end
            pass
    return step.state, tuple(step.effects)


class _Ends:
    """How the bubbles of a step end.

    Attributes:
        posted: What may have reached the customer, by bubble.
    """

    def __init__(self, step: GateStep, code: str, posted: Iterable[Posted]) -> None:
        self.step = step
        self.code = code
        self.posted = {
            each.bubble_id: each
            for each in posted
            if not isinstance(each.receipt, Refused | NotSent)
        }

    def doubt(self, bubble: Bubble) -> None:
        """End a bubble whose next attempt may be out; what was accepted is."""
        found = self.posted.get(bubble.bubble_id)
        if found is not None and isinstance(found.receipt, Accepted):
            recall(self.step, bubble, found)
            return
        if found is not None:
            self.step.spend(self.step.now_ms)
        self.close(replace(bubble, attempt=bubble.attempt + 1), BubbleState.UNKNOWN)

    def close(self, bubble: Bubble, state: BubbleState) -> None:
        """Settle a bubble; the other parts of its answer are left alone: one may be out."""
        ended = replace(bubble, state=state, reason=self.code)
        self.step.put(ended)
        self.step.updated(ended, ended.shown)
        self.step.settle(ended)


def _request(step: GateStep, event: OutboundRequested, ends: _Ends) -> None:
    if seen.knows(step.state.seen, event.bubble_id):
        return
    ids = seen.remember(step.state.seen, event.bubble_id, now_ms=step.now_ms, limit=SEEN_IDS)
    newest = step.state.epoch
    step.change(seen=ids, epoch=max(newest, event.epoch))
    if event.kind is OutboundKind.MARKER:
        for each in step.state.bubbles:
            if each.bubble_id in ends.posted:
                ends.doubt(each)
        apply_marker(step, event)
    elif event.kind is not OutboundKind.READ:  # best effort
        _bubble(step, event, newest, ends)
    wake_next(step, step.now_ms)


def _bubble(step: GateStep, event: OutboundRequested, newest_epoch: int, ends: _Ends) -> None:
    blocked = any(each.waits and not too_late(step, each) for each in step.state.bubbles)
    bubble = bubble_of(event)
    step.change(bubbles=(*step.state.bubbles, bubble))
    step.updated(bubble, BubbleState.PLANNED, text=bubble.text)
    if told_before(step, bubble):
        return
    if bubble.bubble_id in ends.posted:
        ends.doubt(bubble)
    elif bubble.author is Author.AI and bubble.epoch < newest_epoch:
        step.drop(bubble, "stale_epoch")
    elif blocked:  # it was not its turn
        ends.close(bubble, BubbleState.FAILED)
    else:
        ends.doubt(bubble)


def _timer(step: GateStep, event: TimerFired, ends: _Ends) -> None:
    if step.state.timers.get(event.timer) != event.due_at:
        return
    step.disarm(event.timer)
    if event.timer == TIMER:
        stop(step)
        return
    name, _, bubble_id = event.timer.partition(":")
    bubble = step.state.find(bubble_id) if bubble_id else step.state.head
    if bubble is None or bubble.settled:
        return
    if name == "unknown_cap":
        step.settle(bubble)
    else:
        ends.doubt(bubble)
    wake_next(step, step.now_ms)
