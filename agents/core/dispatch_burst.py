"""The burst window, and how much may wait in one conversation."""

from __future__ import annotations

from typing import Final

from agents.core import rhythm
from agents.core.conversation import Pending
from agents.core.dispatch_step import Step

WAITING_MESSAGES: Final = 50
WAITING_BYTES: Final = 16_000
"""What may wait in one conversation; more messages are a flood, more text is for a person.

With the newest message and the history it fits the 64 KiB that one record may have.
"""
FLOOD: Final = "flood"


def excess(held: tuple[Pending, ...]) -> str:
    """Return why a conversation may not hold so much, or nothing."""
    if len(held) > WAITING_MESSAGES:
        return FLOOD
    held_bytes = sum(len(each.text.encode()) for each in held)
    return "too_long" if held_bytes > WAITING_BYTES else ""


def open_burst(step: Step) -> None:
    """Open the burst window, or move its end; it never ends later than its longest time."""
    settings = step.settings
    quiet_ms = rhythm.quiet_ms(settings, step.state.rhythm_ms) if settings else 0
    max_ms = rhythm.longest_ms(settings) if settings else 0
    since_ms = min(step.state.gathering_since_ms or step.now_ms, step.now_ms)  # clocks differ
    step.change(gathering_since_ms=since_ms)
    step.arm("burst", min(step.now_ms + quiet_ms, since_ms + max_ms))
