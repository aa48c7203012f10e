"""Bubbles whose result is not known now, as far as this process has seen them become so."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LONGEST_S: Final = 300.0
"""A bubble is unknown for a minute; one that is counted longer went to another worker."""


class Unknowns:
    """Counts by conversation; bounded by what can be unknown at once."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self._known: dict[str, tuple[int, float]] = {}

    def note(self, conversation_id: str, count: int) -> int:
        """Note how many a conversation has now; return how many more than were noted before.

        An event that is decided again, since Kafka was away, tells nothing new.
        """
        before, _ = self._known.get(conversation_id, (0, 0.0))
        if count:
            self._known[conversation_id] = (count, self.monotonic())
        else:
            self._known.pop(conversation_id, None)
        return max(count - before, 0)

    def total(self) -> int:
        """Return how many there are."""
        oldest = self.monotonic() - LONGEST_S
        self._known = {name: each for name, each in self._known.items() if each[1] > oldest}
        return sum(count for count, _ in self._known.values())
