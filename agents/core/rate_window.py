"""What one business number carried lately at one worker, as WhatsApp may have counted it. Pure.

WhatsApp counts a message at some time between our asking and its answer. So a message counts here
from the asking until a second after its answer, and then no second at WhatsApp, wherever it
begins, has more messages than were let through here: of those that it has, take the one that was
asked for last; all others were answered less than a second before it was asked for, or later, and
so were counted when it was.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Final

SECOND: Final = 1.0
SAMPLES: Final = 64
LONGEST_FLOOR_S: Final = 0.5


class Window:
    """Messages of the newest second; times are seconds of a clock that never goes back.

    Attributes:
        open: Messages asked for and not answered.
    """

    def __init__(self) -> None:
        self.open = 0
        self._ends: list[float] = []
        self._trips: deque[float] = deque(maxlen=SAMPLES)

    def begin(self) -> None:
        """Note that a message is let through."""
        self.open += 1

    def answered(self, began: float, now: float) -> None:
        """Note that it was answered, or that no answer is awaited any more.

        No answer takes less than the way there and back. So long WhatsApp's second, which began
        on the way there, is ahead of ours, which began on the way back.
        """
        self.open -= 1
        self._trips.append(now - began)
        heapq.heappush(self._ends, now + SECOND - self.floor)

    def unsent(self) -> None:
        """Note that it was not sent after all."""
        self.open -= 1

    def came(self, at: float) -> None:
        """Note a message of a customer: WhatsApp counts both directions."""
        heapq.heappush(self._ends, at + SECOND)

    @property
    def floor(self) -> float:
        """The quickest of the newest answers, in seconds; 0 while there are few of them."""
        if len(self._trips) < SAMPLES:
            return 0.0
        return min(LONGEST_FLOOR_S, *self._trips)

    def carried(self, now: float) -> int:
        """Return how many messages count now."""
        while self._ends and self._ends[0] <= now:
            heapq.heappop(self._ends)
        return self.open + len(self._ends)

    def carried_then(self, now: float, later: float) -> int:
        """Return how many of those that count now will still count later."""
        return self.carried(now) - sum(end <= later for end in self._ends)
