"""What the gate does about one event, and which bubble, if any, is to be posted now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from agents.core import seen
from agents.core.gate import QUEUE_BUBBLES, QUEUE_CHARS, Bubble, Gate, merged
from agents.core.gate_step import GateStep, belongs, opened
from agents.core.texts import BUBBLE_CHARS
from agents.ports.whatsapp import Letter
from schemas.errors import Rejected
from schemas.events import (
    Author,
    BubbleState,
    DeliveryStatus,
    Event,
    OutboundKind,
    OutboundRequested,
    Position,
    StatusReceived,
    TimerFired,
)

SEEN_IDS: Final = 1024
LONGEST_WAIT_MS: Final = 24 * 3_600_000
"""After this long a bubble is not sent any more: no window can still be open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do about one event.

    Attributes:
        step: The step so far; ``settle`` goes on with it.
        bubble: The bubble to post now, with its new attempt; None when there is none.
        letter: What to post.
    """

    step: GateStep
    bubble: Bubble | None = None
    letter: Letter | None = None

    @property
    def outcome(self) -> tuple[Gate, tuple[Event, ...]]:
        """The state after the event and what to say, when nothing is to be posted."""
        return self.step.state, tuple(self.step.effects)


def plan(state: Gate | None, event: Event, *, source: Position, now_ms: int) -> Plan:
    """Apply one event and choose at most one bubble to post.

    Raises:
        Rejected: The event is no business of the gate, or of another conversation.
    """
    step = opened(state, event, source=source, now_ms=now_ms)
    match event:
        case OutboundRequested():
            _on_request(step, event)
        case StatusReceived():
            _on_status(step, event)
        case TimerFired():
            _on_timer(step, event)
        case _:
            raise Rejected("unexpected_record", f"the gate does not read {event.event}")
    return _next(step)


def _on_request(step: GateStep, event: OutboundRequested) -> None:
    if seen.knows(step.state.seen, event.bubble_id):
        return
    ids = seen.remember(step.state.seen, event.bubble_id, now_ms=step.now_ms, limit=SEEN_IDS)
    newest = step.state.epoch
    step.change(seen=ids, epoch=max(newest, event.epoch))
    if event.kind is OutboundKind.MARKER:
        apply_marker(step, event)
    else:
        _enqueue(step, event, newest)


def apply_marker(step: GateStep, event: OutboundRequested) -> None:
    """Drop what the AI said for an older epoch, and tell dispatch."""
    step.change(floor=max(step.state.floor, event.epoch))
    for bubble in step.state.bubbles:
        if bubble.waits and bubble.author is Author.AI and bubble.epoch < step.state.floor:
            step.drop(bubble, "stale_epoch")
    step.applied(event)


def _enqueue(step: GateStep, event: OutboundRequested, newest_epoch: int) -> None:
    window = max(
        filter(None, (step.state.window_expires_ms, event.window_expires_at)), default=None
    )
    bubble = bubble_of(event)
    reason = _refusal(step.state, bubble)
    step.change(bubbles=(*step.state.bubbles, bubble), window_expires_ms=window)
    step.updated(bubble, BubbleState.PLANNED, text=bubble.text)
    if bubble.author is Author.AI and bubble.epoch < newest_epoch:
        step.drop(bubble, "stale_epoch")
    elif _part_failed(step.state, bubble):
        step.drop(bubble, "part_failed")
    elif reason:
        step.end(bubble, BubbleState.FAILED, reason)


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
    return any(each.state is BubbleState.FAILED and belongs(bubble, each) for each in state.bubbles)


def _on_status(step: GateStep, event: StatusReceived) -> None:
    bubble = step.state.find(event.bubble_id, event.wamid)
    if bubble is None:
        return
    if not bubble.settled and bubble.attempt > 0:
        bubble = _proven(step, bubble, event)
    shown = bubble.shown
    bubble = replace(
        merged(bubble, event.status, event.status_at), wamid=bubble.wamid or event.wamid
    )
    if event.status is DeliveryStatus.FAILED:
        bubble = replace(bubble, error_code=event.error_code, reason="reported_failed")
    step.put(bubble)
    if bubble.shown is not shown:
        step.updated(bubble, bubble.shown)


def _proven(step: GateStep, bubble: Bubble, event: StatusReceived) -> Bubble:
    """A status of a bubble whose result was not known, or refused, proves that it was sent."""
    bubble = replace(bubble, wamid=event.wamid, reason="")
    if event.status is DeliveryStatus.FAILED:
        step.end(bubble, BubbleState.FAILED, "reported_failed", error_code=event.error_code)
    else:
        step.end(bubble, BubbleState.ACCEPTED)
    return step.state.find(bubble.bubble_id) or bubble


def _on_timer(step: GateStep, event: TimerFired) -> None:
    if step.state.timers.get(event.timer) != event.due_at:
        return  # it was moved or disarmed since
    step.disarm(event.timer)
    name, _, bubble_id = event.timer.partition(":")
    bubble = step.state.find(bubble_id)
    if name == "unknown_cap" and bubble is not None and not bubble.settled:
        step.settle(bubble)


def _next(step: GateStep) -> Plan:
    """Choose the bubble to post: the head of the queue, unless it waits for another try."""
    while (head := step.state.head) is not None:
        if f"retry:{head.bubble_id}" in step.state.timers:
            break
        if not (reason := too_late(step, head)):
            return _post(step, head)
        step.end(head, BubbleState.FAILED, reason, error_code=head.error_code)
    step.disarm("next")
    return Plan(step=step)


def too_late(step: GateStep, bubble: Bubble) -> str:
    """Return why a bubble that waits must not be sent any more, or nothing."""
    window = bubble.window_expires_ms and max(
        bubble.window_expires_ms, step.state.window_expires_ms or 0
    )
    if window is not None and step.now_ms >= window:
        return "window_closed"
    return "expired" if step.now_ms - bubble.requested_ms >= LONGEST_WAIT_MS else ""


def _post(step: GateStep, head: Bubble) -> Plan:
    bubble = replace(head, attempt=head.attempt + 1)
    state = step.state
    callback = (state.tenant_id, state.conversation_id, state.customer_id, bubble.bubble_id)
    letter = Letter(
        tenant_id=state.tenant_id,
        phone_number_id=bubble.phone_number_id,
        wa_id=bubble.wa_id,
        user_id=bubble.user_id,
        text=bubble.text or "",
        reply_to_wamid=bubble.reply_to_wamid,
        callback_data="|".join(("v1", *callback, str(bubble.attempt))),
    )
    step.put(bubble)
    return Plan(step=step, bubble=bubble, letter=letter)
