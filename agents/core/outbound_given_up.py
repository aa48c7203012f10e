"""An event that the gate cannot handle: its bubble is settled, so that dispatch knows.

A bubble that may have been posted before the event was given up is ``unknown``, never
``failed``: a person must not take it for unsent.
"""

from __future__ import annotations

from agents.core import seen
from agents.core.gate import Bubble, Gate
from agents.core.gate_next import too_late, wake_next
from agents.core.gate_plan import SEEN_IDS, apply_marker, bubble_of
from agents.core.gate_step import GateStep, opened
from agents.core.gate_typing import TIMER, stop
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
    state: Gate | None, event: Event, *, source: Position, now_ms: int, reason: str
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

    Raises:
        Rejected: The event belongs to another conversation: nothing is said about it.
    """
    step = opened(state, event, source=source, now_ms=now_ms)
    code = f"given_up:{reason}"
    match event:
        case OutboundRequested():
            _request(step, event, code)
        case TimerFired():
            _timer(step, event, code)
        case _:  # a status: the bubble's own timer is its end
            pass
    return step.state, tuple(step.effects)


def _request(step: GateStep, event: OutboundRequested, code: str) -> None:
    if seen.knows(step.state.seen, event.bubble_id):
        return
    ids = seen.remember(step.state.seen, event.bubble_id, now_ms=step.now_ms, limit=SEEN_IDS)
    newest = step.state.epoch
    step.change(seen=ids, epoch=max(newest, event.epoch))
    if event.kind is OutboundKind.MARKER:
        apply_marker(step, event)
    elif event.kind is not OutboundKind.READ:  # best effort
        _bubble(step, event, newest, code)
    wake_next(step, step.now_ms)


def _bubble(step: GateStep, event: OutboundRequested, newest_epoch: int, code: str) -> None:
    blocked = any(each.waits and not too_late(step, each) for each in step.state.bubbles)
    bubble = bubble_of(event)
    step.change(bubbles=(*step.state.bubbles, bubble))
    step.updated(bubble, BubbleState.PLANNED, text=bubble.text)
    if bubble.author is Author.AI and bubble.epoch < newest_epoch:
        step.drop(bubble, "stale_epoch")
    elif blocked:  # it was not its turn
        _close(step, bubble, BubbleState.FAILED, code)
    else:
        _close(step, replace(bubble, attempt=1), BubbleState.UNKNOWN, code)


def _timer(step: GateStep, event: TimerFired, code: str) -> None:
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
        _close(step, replace(bubble, attempt=bubble.attempt + 1), BubbleState.UNKNOWN, code)
    wake_next(step, step.now_ms)


def _close(step: GateStep, bubble: Bubble, state: BubbleState, code: str) -> None:
    """Settle a bubble; the other parts of its answer are left alone: one may be out."""
    ended = replace(bubble, state=state, reason=code)
    step.put(ended)
    step.updated(ended, ended.shown)
    step.settle(ended)
