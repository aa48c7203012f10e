"""The fuse: after a bad deploy the worker stops before it has given up everything.

The count is kept in the changelog, for each partition: a crash loop must not give up another
handful of events at every start. A success mends the fuse.
"""

from __future__ import annotations

from typing import Final

from schemas.errors import PipelineError
from streams.metrics import GIVEN_UP
from streams.publish import Publisher
from streams.table import AckedTable

FUSE: Final = 25
"""Events given up in a row, whatever the conversation, after which the worker stops."""


class FuseBlown(PipelineError):
    """Too many events were given up in a row: the code or the data is broken, not one event."""


class Fuse:
    """Counts the events of one stage that were given up since the last one that succeeded."""

    def __init__(self, table: AckedTable, publisher: Publisher) -> None:
        self.table = table
        self.publisher = publisher
        GIVEN_UP.labels(table.name).set_function(lambda: self.burnt)

    @property
    def burnt(self) -> int:
        """Events given up in a row, in all partitions of this worker."""
        return sum(self.table.given_up.values())

    def burn(self, partition: int, reason: str) -> None:
        """Count one more, before it is parked.

        Raises:
            FuseBlown: It is one too many; it must not be parked.
        """
        if self.burnt + 1 >= FUSE:
            raise FuseBlown(
                f"{self.table.name}: {FUSE} events in a row were given up, the last one as"
                f" `{reason}`; the worker stops before it gives up everything. The count outlives"
                " a restart: the next failure stops it again, the first success sets it back"
            )
        self.table.given_up[partition] = self.table.given_up.get(partition, 0) + 1

    async def keep(self, partition: int) -> None:
        """Write the count of a partition down; before the event that it counts is parked.

        Raises:
            Unavailable: The broker did not take it.
        """
        await self.table.burn(partition, self.table.given_up.get(partition, 0), self.publisher)

    async def mend(self) -> None:
        """Set the count back, here and in the changelog.

        Raises:
            Unavailable: The broker did not take it.
        """
        for partition in [p for p, count in self.table.given_up.items() if count]:
            await self.table.burn(partition, 0, self.publisher)
            self.table.given_up[partition] = 0
