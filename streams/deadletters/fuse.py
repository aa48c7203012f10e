"""The fuse: after a bad deploy the worker stops before it has given up everything.

The count is kept for each partition, in the changelog of a stage or with the commits of a sink:
a crash loop must not give up another handful of events at every start. A success mends the fuse.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

from schemas.errors import PipelineError
from streams.metrics import GIVEN_UP

Place = TypeVar("Place")
"""What names a partition."""

FUSE: Final = 25
"""Events given up in a row, whatever the conversation, after which the worker stops."""


class FuseBlown(PipelineError):
    """Too many events were given up in a row: the code or the data is broken, not one event."""


class Counts(Protocol[Place]):
    """The counts of those partitions that are ours, as they were written down."""

    @property
    def name(self) -> str:
        """Name of the stage or sink."""

    @property
    def given_up(self) -> dict[Place, int]:
        """Events given up in a row, by partition."""


class Fuse(Generic[Place]):
    """Counts the events of a stage or sink that were given up since the last that succeeded.

    Args:
        counts: Where the counts are.
        write: Writes the count of a partition down; raises ``Unavailable``.
    """

    def __init__(
        self, counts: Counts[Place], write: Callable[[Place, int], Awaitable[None]]
    ) -> None:
        self.counts = counts
        self.write = write
        GIVEN_UP.labels(counts.name).set_function(lambda: self.burnt)

    @property
    def burnt(self) -> int:
        """Events given up in a row, in all partitions of this worker."""
        return sum(self.counts.given_up.values())

    def burn(self, partition: Place, reason: str) -> None:
        """Count one more, before it is parked.

        Raises:
            FuseBlown: It is one too many; it must not be parked.
        """
        if self.burnt + 1 >= FUSE:
            raise FuseBlown(
                f"{self.counts.name}: {FUSE} events in a row were given up, the last one as"
                f" `{reason}`; the worker stops before it gives up everything. The count outlives"
                " a restart: the next failure stops it again, the first success sets it back"
            )
        self.counts.given_up[partition] = self.counts.given_up.get(partition, 0) + 1

    async def keep(self, partition: Place) -> None:
        """Write the count of a partition down; before the event that it counts is parked.

        Raises:
            Unavailable: The broker did not take it.
        """
        await self.write(partition, self.counts.given_up.get(partition, 0))

    async def mend(self) -> None:
        """Set the count back, here and where it is kept.

        Raises:
            Unavailable: The broker did not take it.
        """
        for partition in [p for p, count in self.counts.given_up.items() if count]:
            await self.write(partition, 0)
            self.counts.given_up[partition] = 0
