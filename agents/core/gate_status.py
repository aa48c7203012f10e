"""What a status of WhatsApp means for a bubble; it may come before the answer to the POST."""

from __future__ import annotations

from agents.core.gate import Bubble, merged
from agents.core.gate_step import GateStep, belongs
from schemas.changing import replace
from schemas.events import Author, BubbleState, DeliveryStatus, StatusReceived


def on_status(step: GateStep, event: StatusReceived) -> None:
    """Note what WhatsApp says of a bubble; it settles one whose result was not known."""
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
        if bubble.shown is BubbleState.FAILED:
            _failed(step, bubble)


def _proven(step: GateStep, bubble: Bubble, event: StatusReceived) -> Bubble:
    """A status of a bubble whose result was not known, or refused, proves that it was sent."""
    bubble = replace(bubble, wamid=event.wamid, reason="")
    if event.status is DeliveryStatus.FAILED:
        step.end(bubble, BubbleState.FAILED, "reported_failed", error_code=event.error_code)
    else:
        step.end(bubble, BubbleState.ACCEPTED)
    return step.state.find(bubble.bubble_id) or bubble


def _failed(step: GateStep, failed: Bubble) -> None:
    """WhatsApp did not deliver a part of an answer: the others are not sent.

    Of a part that it had accepted, dispatch heard only that: it hears of the first one that failed.
    """
    parts = [bubble for bubble in step.state.bubbles if belongs(bubble, failed)]
    others = (part for part in parts if part.bubble_id != failed.bubble_id)
    known = any(part.shown is BubbleState.FAILED for part in others)
    if failed.state is BubbleState.ACCEPTED and failed.author is Author.AI and not known:
        step.report(failed)
    for part in parts:
        if part.waits:
            step.drop(part, "part_failed")
