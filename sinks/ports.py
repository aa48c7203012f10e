"""What a sink is given: records with their positions, in the order of the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.events import Event, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One record of the log.

    Attributes:
        event: What it says.
        position: Where it stands.
        headers: Its headers, where whoever reads it keeps them.
        written_ms: When it was written, Unix milliseconds; 0 where nobody asked.
    """

    event: Event
    position: Position
    headers: tuple[tuple[str, bytes], ...] = ()
    written_ms: int = 0


class Sink(Protocol):
    """Writes batches of records; writing a batch again changes nothing."""

    async def write(self, batch: Sequence[Recorded], /) -> None:
        """Write all of them or none.

        Raises:
            Unavailable: The store is down; the same batch is written again later.
            Rejected: A record can never be written; the batch is then split.
        """
