"""An account of one input partition, kept from what the broker said and not from our own ledger.

Rule 1: an offset may be committed once every event below it was finished. Rule 2: an offset holds
no event only if the broker's answer says so: a control record, one that compaction removed, or one
that retention deleted. Everything else is missing, whoever lost it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

FOLD: Final = 4096
"""Most finished offsets that are kept one by one: behind an event that waits for days there are
millions of them."""

Range = tuple[int, int]
"""First offset, and the one after the last."""


class Ranges:
    """A set of offsets that mostly grows at its end, as ranges in order that do not touch."""

    __slots__ = ("ranges",)

    def __init__(self) -> None:
        self.ranges: list[Range] = []

    def add(self, begin: int, end: int) -> None:
        """Add the offsets from ``begin`` up to, and without, ``end``."""
        if begin >= end:
            return
        ranges = self.ranges
        later: list[Range] = []
        while ranges and ranges[-1][1] >= begin:
            first, after = ranges.pop()
            if first > end:
                later.append((first, after))
            else:
                begin, end = min(begin, first), max(end, after)
        ranges.append((begin, end))
        ranges.extend(reversed(later))

    def drop_below(self, offset: int) -> None:
        """Forget everything below an offset."""
        self.ranges = [(max(begin, offset), end) for begin, end in self.ranges if end > offset]

    def within(self, begin: int, end: int) -> Iterator[Range]:
        """Yield what of ``begin`` to ``end`` is in the set."""
        for first, after in self.ranges:
            if first < end and after > begin:
                yield max(first, begin), min(after, end)

    def without(self, begin: int, end: int) -> Iterator[Range]:
        """Yield what of ``begin`` to ``end`` is not in the set."""
        for first, after in self.within(begin, end):
            if first > begin:
                yield begin, first
            begin = after
        if begin < end:
            yield begin, end


class Account:
    """What the log holds from an offset on, and what of it was finished.

    Attributes:
        since: Everything below was accounted for when it was committed.
        covered: Offsets that an answer of the broker spoke about.
        present: Those of them that hold an event.
        finished: Those of them whose event was finished, the newest.
        folded: The others, as ranges.
    """

    __slots__ = ("covered", "finished", "folded", "present", "since")

    def __init__(self, since: int) -> None:
        self.since = since
        self.covered = Ranges()
        self.present = Ranges()
        self.finished: set[int] = set()
        self.folded = Ranges()

    def told(self, begin: int, end: int, present: Iterable[Range]) -> None:
        """Note an answer: which offsets of ``begin`` to ``end`` hold an event."""
        begin = max(begin, self.since)
        self.covered.add(begin, end)
        for first, after in present:
            self.present.add(max(first, begin), after)

    def take_over(self, known: Account) -> None:
        """Take over what another account knows of the log."""
        self.covered, self.present = known.covered, known.present
        self.covered.drop_below(self.since)
        self.present.drop_below(self.since)

    def finish(self, offset: int) -> None:
        """Note that an event needs nothing more."""
        if offset >= self.since:
            self.finished.add(offset)
            if len(self.finished) > FOLD:
                self._fold()

    def _fold(self) -> None:
        for offset in sorted(self.finished):
            self.folded.add(offset, offset + 1)
        self.finished.clear()

    def reach(self, offset: int) -> int:
        """Return the first offset from this one on that may hold an event."""
        ranges = self.covered.ranges
        end = next((after for first, after in ranges if first <= offset < after), offset)
        return next((first for first, _ in self.present.within(offset, end)), end)

    def missing(self, upto: int) -> list[Range]:
        """Return the events, and the offsets nobody knows of, that a commit would skip."""
        found = Ranges()
        for part in self.present.within(self.since, upto):
            for begin, end in self.folded.without(*part):
                if not self.finished.issuperset(range(begin, end)):
                    for at in range(begin, end):
                        if at not in self.finished:
                            found.add(at, at + 1)
        for begin, end in self.covered.without(self.since, upto):
            found.add(begin, end)
        return found.ranges

    def close(self, upto: int) -> None:
        """Forget what was committed."""
        if upto <= self.since:
            return
        self.finished = {offset for offset in self.finished if offset >= upto}
        self.folded.drop_below(upto)
        self.covered.drop_below(upto)
        self.present.drop_below(upto)
        self.since = upto


def count(ranges: Iterable[Range]) -> int:
    """Return how many offsets some ranges hold."""
    return sum(end - begin for begin, end in ranges)
