"""How far a member of a group is behind, told of the partitions that it has, and of no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streams.consumer.ledger import Ledger
from streams.metrics import LAG


class Lags:
    """The lags that one member of a group tells.

    A partition that went to another member is told by that one: a lag that stayed here would be
    added to it, and stand for ever.
    """

    def __init__(self, group: str) -> None:
        self.group = group
        self._told: set[Any] = set()

    def tell(self, ledgers: Mapping[Any, Ledger], end: Callable[[Any], int | None]) -> None:
        """Tell how many records each partition is behind, as far as that is known here.

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
        for place in self._told - behind.keys():
            LAG.remove(place.topic, place.partition, self.group)
        for place, count in behind.items():
            LAG.labels(place.topic, place.partition, self.group).set(count)
        self._told = set(behind)
