"""Timers that a worker with a clock ahead of ours has armed: when they are due by our clock.

A value cannot have been written in the future, so its writer's clock was ahead at least by the
difference. Each of its waits lasts as long as it was to last, counted from when this is noticed.
Only the time of publication is corrected: the event has the due time of the state, and is decided
as one that comes early (``streams.processor.timers.Timers.hasten``), so nothing is decided from a
guess.
What was found out is written with the next value, so that whoever takes over knows it as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.state.records import Early

SKEW_MS: Final = 5_000
"""Clocks of one installation agree better than this."""


class Corrections:
    """Due times by our clock, where they are not those of the state.

    Attributes:
        known: By conversation, then by name and due time of the timer.
    """

    def __init__(self, absolute: frozenset[str] = frozenset()) -> None:
        self.absolute = absolute
        self.known: dict[bytes, dict[tuple[str, int], int]] = {}

    def concern(self, key: bytes, ahead_ms: int, early: Early = ()) -> bool:
        """Tell whether the timers of a conversation have to be looked at.

        Args:
            key: The conversation.
            ahead_ms: How far in our future its value was written.
            early: What its writer had corrected.
        """
        return ahead_ms > SKEW_MS or bool(early) or key in self.known

    def learn(
        self, key: bytes, timers: Mapping[str, int], ahead_ms: int, early: Early = ()
    ) -> int | None:
        """Note the timers of a value; return when the next of them is due by our clock.

        What was noted of a timer holds as long as it is armed: the value that comes next may be
        written by a right clock and still have it.
        """
        before = {(name, due_ms): found_ms for name, due_ms, found_ms in early}
        for timer, found_ms in self.known.pop(key, {}).items():
            before[timer] = min(found_ms, before.get(timer, found_ms))
        shift_ms = ahead_ms if ahead_ms > SKEW_MS else 0
        found = {}
        for name, due_ms in timers.items():
            if name not in self.absolute:
                found[name, due_ms] = min(before.get((name, due_ms), due_ms), due_ms - shift_ms)
        if any(due_ms != corrected for (_, due_ms), corrected in found.items()):
            self.known[key] = found
        return min((self.due(key, *timer) for timer in timers.items()), default=None)

    def due(self, key: bytes, name: str, due_ms: int) -> int:
        """Return when a timer is due by our clock."""
        known = self.known.get(key)
        return due_ms if known is None else known.get((name, due_ms), due_ms)

    def early(self, key: bytes) -> Early:
        """Return what whoever takes a conversation over must know of its timers."""
        known = self.known.get(key)
        if known is None:
            return ()
        return tuple((name, due, found) for (name, due), found in known.items() if found < due)

    def forget(self, key: bytes) -> None:
        """Forget a conversation that has no timer any more."""
        self.known.pop(key, None)
