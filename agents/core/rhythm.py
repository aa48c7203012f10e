"""How long the pipeline waits for the rest of a thought: each customer's own rhythm, in bounds.

The rhythm is the smoothed gap between two messages that a customer sends without waiting for
an answer. It is learned from bursts, and from messages that came while a turn was thinking:
that one was too quick for them. Nothing here drops a message; it only moves the end of a burst.
"""

from __future__ import annotations

from typing import Final

from schemas.events import SettingsChanged

SMOOTHING: Final = 4
"""A new gap counts for a quarter: one long pause for thought changes little."""
PATIENCE_PERCENT: Final = 150
"""How much longer than the rhythm is waited: gaps of one customer differ."""
SECOND_MS: Final = 1000
"""Resolution of WhatsApp's timestamps."""


def gap_ms(received_ms: int, sent_ms: int) -> int:
    """Return the gap between two messages.

    Messages that were held up arrive together: then WhatsApp's own times tell more.

    Args:
        received_ms: Time between their arrivals.
        sent_ms: Time between WhatsApp's timestamps of them.
    """
    gap = sent_ms if sent_ms - received_ms > SECOND_MS else received_ms
    return max(0, gap)


def learned(rhythm_ms: int | None, gap: int, *, longest_ms: int) -> int | None:
    """Return the rhythm after one more gap; a gap longer than a burst may last tells nothing.

    Monotone in both; the result lies between the rhythm and the gap.
    """
    if gap > longest_ms:
        return rhythm_ms
    return gap if rhythm_ms is None else rhythm_ms + (gap - rhythm_ms) // SMOOTHING


def longest_ms(settings: SettingsChanged) -> int:
    """Return the longest time that a burst is gathered."""
    return max(0, settings.burst_quiet_ms, settings.burst_max_ms)


def quiet_ms(settings: SettingsChanged, rhythm_ms: int | None) -> int:
    """Return the quiet time after which a burst is answered.

    Without a rhythm, or when the tenant does not want it, it is ``burst_quiet_ms``; else half
    as much again as the rhythm, between ``burst_quiet_min_ms`` and ``burst_max_ms``. A tenant
    that wants no quiet time gets none.
    """
    usual = max(0, settings.burst_quiet_ms)
    if rhythm_ms is None or not settings.burst_adapts or usual == 0:
        return usual
    least = min(max(0, settings.burst_quiet_min_ms), usual)
    return min(max(least, rhythm_ms * PATIENCE_PERCENT // 100), longest_ms(settings))
