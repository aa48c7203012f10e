"""Bubbles and markers that have ended at the gate: what is done about it, and who is called.

A repetition of an end says nothing new: only an end that is still waited for calls a person.
"""

from __future__ import annotations

from typing import Final

from agents.core.conversation import Trigger, allows
from agents.core.dispatch_people import AI_DISABLED, hand_over
from agents.core.dispatch_step import Step
from agents.core.naturals import natural_id
from agents.core.spoken import ended
from agents.ports.permits import TAKEN_OVER
from schemas.events import Author, BubbleState, OutboundKind, OutboundSettled

TAKEOVER_APPLIED: Final = "takeover_applied"
UNSENT: Final = (BubbleState.FAILED, BubbleState.UNKNOWN)
"""Ends of a bubble after which the customer may be without an answer."""


def on_settled(step: Step, event: OutboundSettled) -> None:
    """Decide about what the gate says of the end of something."""
    awaited = note_end(step, event)
    if event.kind is OutboundKind.REPORT:
        _on_report(step, event)
        return
    if event.kind is OutboundKind.MARKER:
        step.decided(TAKEOVER_APPLIED if awaited else "marker_applied", event.reason)
        return
    step.decided(f"bubble_{event.state}", event.reason, turn_id=event.turn_id)
    if awaited and allows(step.state.phase, Trigger.HAND):
        _call(step, event)


def note_end(step: Step, event: OutboundSettled) -> bool:
    """Wait no longer for what has ended; False when it was not waited for."""
    state = step.state
    if event.kind is not OutboundKind.MARKER:
        step.change(history=ended(state.history, event.bubble_id, event.state))
    if event.kind is OutboundKind.MARKER and event.bubble_id == state.marker_id:
        step.change(marker_id=None)
    elif event.kind is OutboundKind.MESSAGE and event.bubble_id in state.awaiting:
        step.change(awaiting=tuple(each for each in state.awaiting if each != event.bubble_id))
    else:
        return False
    return True


def _call(step: Step, event: OutboundSettled) -> None:
    """Call a person when the customer may be without what the AI has said."""
    if event.reason == AI_DISABLED:
        hand_over(step, AI_DISABLED)  # the tenant stopped its AI, and the gate an answer of it
    elif event.reason == TAKEN_OVER and event.epoch >= step.state.silenced_epoch:
        # It was written down, then its worker died, and the kill switch was on again.
        hand_over(step, TAKEN_OVER)
    elif event.author is Author.AI and event.state in UNSENT:
        # A channel that refuses the answer would refuse the notice too.
        reason = f"send_{event.state}:{event.reason}"
        hand_over(step, reason, notice=event.state is BubbleState.UNKNOWN)


def _on_report(step: Step, event: OutboundSettled) -> None:
    """WhatsApp did not deliver what it had accepted: the customer is without an answer."""
    if not step.first_time(natural_id(event)):
        step.decided("duplicate_ignored", "duplicate")
        return
    step.decided(f"bubble_{event.state}", event.reason, turn_id=event.turn_id)
    if allows(step.state.phase, Trigger.HAND):
        # What refused the answer would refuse the notice too.
        hand_over(step, f"send_{event.state}:{event.reason}", notice=False)
