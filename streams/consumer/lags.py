"""How far a member of a group is behind, told of the partitions that it has, and of no others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from streams.consumer.ledger import Ledger
from streams.metrics import BEHIND, LAG


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a log ended at some time: until all before it is finished, so old is the oldest.

    Attributes:
        end: Where it ended.
        since_s: When that was, in seconds of a steady clock.
    """

    end: int
    since_s: float


class Lags:
    """The lags that one member of a group tells.

    A partition that went to another member is told by that one: a lag that stayed here would be
    added to it, and stand for ever.

    Args:
        group: The group.
        now_s: Seconds of a steady clock.
    """

    def __init__(self, group: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self.group = group
        self._now_s = now_s
        self._marks: dict[Any, Mark] = {}

    def tell(self, ledgers: Mapping[Any, Ledger], end: Callable[[Any], int | None]) -> None:
        """Tell how far each partition is behind, in records and in time, as far as that is known.

        Records on their way are no lateness: what was on the log at a mark must be finished, and
        then the mark moves on.

        Args:
            ledgers: What was fetched of each partition of this member, and not finished.
            end: Returns where the log of a partition ended when it was read last.
        """
        ends = {place: end(place) for place in ledgers}
        behind = {
            place: max(told - ledgers[place].safe(), 0)
            for place, told in ends.items()
            if told is not None
        }
        for place in self._marks.keys() - behind.keys():
            for gauge in (LAG, BEHIND):
                gauge.remove(place.topic, place.partition, self.group)
            del self._marks[place]
        now_s = self._now_s()
        for place, count in behind.items():
            mark = self._marks.get(place)
            if mark is None or ledgers[place].safe() >= mark.end:
                mark = self._marks[place] = Mark(ledgers[place].safe() + count, now_s)
            labels = (place.topic, place.partition, self.group)
            LAG.labels(*labels).set(count)
            BEHIND.labels(*labels).set(now_s - mark.since_s)
