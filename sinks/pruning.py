"""Rows that nothing can ask for any more: old claims, and raw parts that no record names.

A claim outlives every delivery of its event, a raw part every record that names it. A record may
be read again for as long as its topic keeps it, be given up then, wait as a dead letter for as
long, and be written back to its topic once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import asyncpg

from sinks.database import queries, reachable

SQL: Final = queries("pruning")

KEPT_DAYS: Final = 120
"""Three times 30 days, and each time the week in which Kafka closes a segment before it deletes
it, and some days more."""

BATCHES: Final[Mapping[str, int]] = {"claims": 1000, "raw_parts": 20}
"""Rows that one statement deletes: a raw part is up to some megabytes."""


class Pruning:
    """Deletes them, a batch at a time; processes that meet do not wait for one another."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    async def prune(self, rows: str, /) -> int:
        """Delete a batch of the oldest rows of one kind of ``BATCHES``; return how many went.

        Raises:
            Unavailable: Postgres is down.
        """
        with reachable():
            gone: int = await self.pool.fetchval(SQL[rows], KEPT_DAYS, BATCHES[rows])
        return gone
