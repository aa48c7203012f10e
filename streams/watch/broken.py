"""Partitions that cannot be read on: the broker's copy of a batch is broken.

Nobody reads past it, and it is not skipped: a replica, a backup or an operator may have its
records. Until then it is waited for as for a broker that is down, so readiness, metrics and the
watchdog know of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from streams.watch.health import Dependencies

log = structlog.get_logger(__name__)

SERVICE: Final = "kafka"
WHY: Final = (
    "this batch is broken at the broker, and what is behind it waits; the other partitions go on."
    " Let a replica with a good copy lead the partition, or copy what can be read and set the"
    " group past it"
)


class BrokenBatches:
    """Those of one reader.

    Args:
        name: Who reads.
        dependencies: Told what is waited for.
    """

    def __init__(self, name: str, dependencies: Dependencies) -> None:
        self.name = name
        self.dependencies = dependencies
        self.met: dict[Any, int] = {}

    def meet(self, place: Any, offset: int) -> None:
        """Note that a partition cannot be read from an offset on; it is told once."""
        if self.met.get(place) == offset:
            return
        self.met[place] = offset
        self.dependencies.down(SERVICE, place)
        log.error(
            "sink.broken_batch",
            sink=self.name,
            topic=place.topic,
            partition=place.partition,
            offset=offset,
            why=WHY,
        )

    def read(self, found: Mapping[Any, Sequence[Any]]) -> None:
        """Note what was read: a partition that goes on is broken no more."""
        for place in found.keys() & self.met.keys():
            if found[place] and found[place][-1].offset >= self.met[place]:
                self._forget(place)

    def keep(self, mine: set[Any]) -> None:
        """Forget partitions that others read now."""
        for place in self.met.keys() - mine:
            self._forget(place)

    def _forget(self, place: Any) -> None:
        del self.met[place]
        self.dependencies.up(place)
