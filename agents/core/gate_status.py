"""What a status of WhatsApp means for a bubble; it may come before the answer to the POST.

It may also be read before the event that its bubble was posted in: the worker died before it
wrote that down, and the event comes again. The status proves then what nobody else knows.
"""

from __future__ import annotations

from typing import Final

from agents.core import seen
from agents.core.gate import Bubble, merged
from agents.core.gate_step import GateStep, belongs
from schemas.changing import replace
from schemas.events import Author, BubbleState, DeliveryStatus, StatusReceived

KEPT_EARLY: Final = 8
"""Statuses that are kept for a request to come: one step posts one bubble, so they are of one."""


def on_status(step: GateStep, event: StatusReceived) -> None:
    """Note what WhatsApp says of a bubble; it settles one whose result was not known."""
    bubble = step.state.find(event.bubble_id, event.wamid)
    if bubble is None:
        _keep(step, event)
        return
    if event.status is DeliveryStatus.FAILED and 0 < event.attempt < bubble.attempt:
        return  # WhatsApp had refused that attempt, and it was tried again
    if not bubble.settled and (bubble.attempt > 0 or event.attempt > 0):
        bubble = _proven(step, bubble, event)
    shown = bubble.shown
    bubble = replace(
        merged(bubble, event.status, event.status_at), wamid=bubble.wamid or event.wamid
    )
    bubble = _explained(bubble, event)
    step.put(bubble)
    if bubble.shown is not shown:
        step.updated(bubble, bubble.shown)
        if bubble.shown is BubbleState.FAILED:
            _failed(step, bubble)


def told_before(step: GateStep, bubble: Bubble) -> bool:
    """Apply what WhatsApp said of a bubble before its request came; False when that is nothing."""
    early = [each for each in step.state.early if each.bubble_id == bubble.bubble_id]
    step.change(early=tuple(each for each in step.state.early if each not in early))
    for each in early:
        on_status(step, each)
    return bool(early)


def _keep(step: GateStep, event: StatusReceived) -> None:
    """Keep a status until its request comes, unless that has come long ago."""
    if event.bubble_id and event.attempt > 0 and not seen.knows(step.state.seen, event.bubble_id):
        early = (*step.state.early, replace(event, raw=None))
        step.change(early=early[-KEPT_EARLY:])


def _explained(bubble: Bubble, event: StatusReceived) -> Bubble:
    """Say why it failed, if that is what is shown: another device may have it all the same."""
    if bubble.shown is not BubbleState.FAILED:
        reached = bubble.shown is not bubble.state
        return replace(bubble, error_code=0, reason="") if reached else bubble
    if event.status is not DeliveryStatus.FAILED:
        return bubble
    return replace(bubble, error_code=event.error_code, reason="reported_failed")


def _proven(step: GateStep, bubble: Bubble, event: StatusReceived) -> Bubble:
    """A status of a bubble whose result was not known, or refused, proves that it was sent."""
    if event.attempt > bubble.attempt:  # its worker died before it wrote that down
        step.spend(step.now_ms)
        bubble = replace(bubble, attempt=event.attempt, posted_ms=step.now_ms)
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
