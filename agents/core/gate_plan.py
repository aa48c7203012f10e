"""What the gate does about one event, and which bubble, if any, is to be posted now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from agents.core import seen
from agents.core.gate import QUEUE_BUBBLES, QUEUE_CHARS, Bubble, Gate
from agents.core.gate_next import Plan, choose, wake_next
from agents.core.gate_settle import Posted, recall
from agents.core.gate_status import on_status, told_before
from agents.core.gate_step import GateStep, belongs, opened
from agents.core.gate_typing import TIMER, go_on, on_read, stop
from agents.core.gate_window import in_own_words
from agents.core.rate_queue import place_of
from agents.core.texts import BUBBLE_CHARS
from schemas.errors import Rejected
from schemas.events import (
    Author,
    BubbleState,
    Event,
    OutboundKind,
    OutboundRequested,
    OutboundSettled,
    Position,
    SettingsChanged,
    StatusReceived,
    TimerFired,
)

AI_DISABLED: Final = "ai_disabled"
SEEN_IDS: Final = 1024

_UNSENT: Final = (BubbleState.FAILED, BubbleState.DROPPED, BubbleState.UNKNOWN)


def plan(
    state: Gate | None,
    event: Event,
    *,
    source: Position,
    now_ms: int,
    settings: SettingsChanged | None = None,
    posted: Posted | None = None,
) -> Plan:
    """Apply one event and choose at most one bubble to post.

    Args:
        state: The gate of the conversation; None at first.
        event: What happened.
        source: Where the event stands in the log.
        now_ms: Time of the decision, Unix milliseconds.
        settings: Settings of the tenant; None when it is not known.
        posted: What was posted already, and is in no state; then nothing more is in this step.

    Raises:
        Rejected: The event is no business of the gate, or of another conversation.
    """
    step = opened(state, event, source=source, now_ms=now_ms, settings=settings)
    if posted is not None and (begun := step.state.find(posted.bubble_id)) is not None:
        recall(step, begun, posted)
    match event:
        case OutboundRequested():
            _on_request(step, event, posted)
        case StatusReceived():
            on_status(step, event)
        case TimerFired():
            _on_timer(step, event)
        case _:
            raise Rejected("unexpected_record", f"the gate does not read {event.event}")
    if settings is not None and not settings.ai_enabled:
        _stop_ai(step)
    if posted is None:
        return choose(step)
    wake_next(step, now_ms)
    return Plan(step=step, read=step.read)


def unsent(before: Gate | None, said: Iterable[Event]) -> tuple[tuple[str, int], ...]:
    """Return the attempts that a step spares itself by ending their bubbles, in its order.

    One of them may have been posted all the same, by a worker that died before it wrote its step.

    Args:
        before: The gate before the step.
        said: What the step says.

    Returns:
        Ids of bubbles, each with the number of the attempt that would have been its next.
    """
    known = {each.bubble_id: each for each in before.bubbles} if before is not None else {}
    found = []
    for each in said:
        if isinstance(each, OutboundSettled) and each.state in _UNSENT:
            bubble = known.get(each.bubble_id)
            if bubble is None or bubble.waits:
                found.append((each.bubble_id, bubble.attempt + 1 if bubble is not None else 1))
    return tuple(found)


def _stop_ai(step: GateStep) -> None:
    """The tenant's kill switch: what its AI said and was not sent yet is not sent."""
    for bubble in step.state.bubbles:
        if bubble.waits and bubble.author is Author.AI:
            step.drop(bubble, AI_DISABLED)


def _on_request(step: GateStep, event: OutboundRequested, posted: Posted | None) -> None:
    if seen.knows(step.state.seen, event.bubble_id):
        return
    ids = seen.remember(step.state.seen, event.bubble_id, now_ms=step.now_ms, limit=SEEN_IDS)
    newest = step.state.epoch
    step.change(seen=ids, epoch=max(newest, event.epoch))
    if event.kind is OutboundKind.MARKER:
        apply_marker(step, event)
    elif event.kind is OutboundKind.READ:
        on_read(step, event)
    else:
        stop(step)
        _enqueue(step, event, newest, posted)


def apply_marker(step: GateStep, event: OutboundRequested) -> None:
    """Drop what the AI said for an older epoch, and tell dispatch."""
    step.change(floor=max(step.state.floor, event.epoch))
    stop(step)
    for bubble in step.state.bubbles:
        if bubble.waits and bubble.author is Author.AI and bubble.epoch < step.state.floor:
            step.drop(bubble, "stale_epoch")
    step.applied(event)


def _enqueue(
    step: GateStep, event: OutboundRequested, newest_epoch: int, posted: Posted | None
) -> None:
    before = step.state.window_expires_ms
    window = max(filter(None, (before, event.window_expires_at)), default=None)
    asked = step.state.bubbles if window == before else in_own_words(step.state.bubbles)
    bubble = bubble_of(event)
    reason = _refusal(step.state, bubble)
    step.change(bubbles=(*asked, bubble), window_expires_ms=window)
    step.updated(bubble, BubbleState.PLANNED, text=bubble.text)
    if told_before(step, bubble):
        return
    if posted is not None and posted.bubble_id == bubble.bubble_id:
        recall(step, bubble, posted)
    elif bubble.author is Author.AI and bubble.epoch < newest_epoch:
        step.drop(bubble, "stale_epoch")
    elif _part_failed(step.state, bubble):
        step.drop(bubble, "part_failed")  # dispatch was told with the part that failed
    elif reason:
        step.end(bubble, BubbleState.FAILED, reason)
    else:
        _hurry(step, bubble)


def _hurry(step: GateStep, bubble: Bubble) -> None:
    """Let what holds back somebody more urgent ask its number again, as they would."""
    ahead = [each for each in step.state.bubbles if each.waits and each is not bubble]
    if ahead and place_of(bubble.author) < min(place_of(each.author) for each in ahead):
        step.disarm(f"rate:{ahead[0].bubble_id}")


def bubble_of(event: OutboundRequested) -> Bubble:
    """Return the bubble that a request asks for."""
    return Bubble(
        bubble_id=event.bubble_id,
        turn_id=event.turn_id,
        epoch=event.epoch,
        author=event.author,
        phone_number_id=event.phone_number_id,
        wa_id=event.recipient.wa_id,
        user_id=event.recipient.user_id,
        text=event.text,
        reply_to_wamid=event.reply_to_wamid,
        window_expires_ms=event.window_expires_at,
        requested_ms=event.occurred_at,
        trace_id=event.trace_id,
        ordinal=event.ordinal,
    )


def _refusal(state: Gate, bubble: Bubble) -> str:
    """Return why a bubble can never be sent, or nothing."""
    queue = [each for each in state.bubbles if each.waits]
    if not (bubble.text or "").strip():
        return "no_text"
    if len(bubble.text or "") > BUBBLE_CHARS:
        return "too_long"
    if not (bubble.wa_id or bubble.user_id):
        return "no_recipient"
    chars = sum(len(each.text or "") for each in queue)
    return "queue_full" if len(queue) >= QUEUE_BUBBLES or chars >= QUEUE_CHARS else ""


def _part_failed(state: Gate, bubble: Bubble) -> bool:
    return any(each.shown is BubbleState.FAILED and belongs(bubble, each) for each in state.bubbles)


def _on_timer(step: GateStep, event: TimerFired) -> None:
    if step.state.timers.get(event.timer) != event.due_at:
        return  # it was moved or disarmed since
    step.disarm(event.timer)
    step.fired = event.timer
    if event.timer == TIMER:
        go_on(step)
    name, _, bubble_id = event.timer.partition(":")
    bubble = step.state.find(bubble_id)
    if name == "unknown_cap" and bubble is not None and not bubble.settled:
        step.settle(bubble)
