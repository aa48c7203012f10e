"""Who goes first when one number cannot carry everything at once. Pure.

People before the AI, the AI before automation; among equals the one whose 24 h window closes
first. It holds for one number at one worker. In a conversation nothing overtakes, so what holds
back somebody more urgent goes as they would.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from schemas.events import Author

_PLACES: Final = {Author.HUMAN: 0, Author.AI: 1, Author.AUTOMATION: 2}

FEW: Final = 64
"""So many entries that count no more are no reason to make the queue anew."""

Rank = tuple[int, int]
"""Lower goes first."""


def place_of(author: Author) -> int:
    """Return the place of those who speak so; lower goes first."""
    return _PLACES.get(author, len(_PLACES))


def most_urgent(authors: Iterable[Author]) -> Author:
    """Return who of those that wait in one conversation goes first."""
    return min(authors, key=place_of)


def rank_of(author: Author, deadline_ms: int) -> Rank:
    """Return a bubble's rank.

    Args:
        author: Who speaks.
        deadline_ms: When it can no longer be sent.
    """
    return place_of(author), deadline_ms


@dataclass(frozen=True, slots=True, order=True)
class Waiting:
    """A bubble that waits for its number.

    Attributes:
        rank: Its rank.
        place: Order of arrival, among equals.
        conversation_id: Its conversation.
        timer: Timer of the conversation that lets it go on.
        since: When it was last told to wait.
    """

    rank: Rank
    place: int
    conversation_id: str = field(compare=False)
    timer: str = field(compare=False)
    since: float = field(compare=False)

    @property
    def bubble_id(self) -> str:
        """The bubble."""
        return self.timer.partition(":")[2]


class Queue:
    """Bubbles that wait, by rank; each of them once."""

    def __init__(self) -> None:
        self._heap: list[Waiting] = []
        self._known: dict[str, Waiting] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        """Return how many bubbles wait."""
        return len(self._known)

    @property
    def first(self) -> Waiting | None:
        """Who goes next."""
        while self._heap and self._known.get(self._heap[0].bubble_id) is not self._heap[0]:
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None

    def put(self, rank: Rank, conversation_id: str, timer: str, since: float) -> None:
        """Let a bubble wait; one that waits already keeps its place, with its newest timer."""
        before = self._known.get(timer.partition(":")[2])
        if before is None:
            self._arrivals += 1
        place = before.place if before else self._arrivals
        self.put_back(Waiting(rank, place, conversation_id, timer, since))

    def put_back(self, waiting: Waiting) -> None:
        """Let a bubble wait again that was taken."""
        self._known[waiting.bubble_id] = waiting
        heapq.heappush(self._heap, waiting)
        if len(self._heap) > 2 * len(self._known) + FEW:  # bubbles that were put again
            self._heap = sorted(self._known.values())

    def take(self) -> Waiting | None:
        """Return who goes next, and let it wait no more."""
        first = self.first
        if first is not None:
            self.leave(first.bubble_id)
        return first

    def leave(self, bubble_id: str) -> None:
        """Forget a bubble, if it waits."""
        self._known.pop(bubble_id, None)
