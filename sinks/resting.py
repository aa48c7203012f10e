"""Values of the stages' tables whose conversations are at rest (docs/adr/0020).

A row never changes: it is named by the mark of its bytes, so a worker that was frozen may write
late and replaces nothing. Rows are numbered in the order in which they came, and what is deleted
is older than a number that was told: a row that came since is never meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import asyncpg

from sinks.database import queries, reachable

SQL: Final = queries("resting")


class RestingStates:
    """The ``streams.processor.resting.Shelf`` of production."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    async def keep(
        self, stage: str, values: Mapping[bytes, tuple[int, bytes]], /
    ) -> dict[bytes, int]:
        """Keep values by the marks of their bytes, beside the earlier ones of their conversations.

        Returns:
            The number of each value's row. One that another worker wrote in this moment is
            left out.

        Raises:
            Unavailable: Postgres is down.
        """
        marks = [mark for mark, _ in values.values()]
        raws = [raw for _, raw in values.values()]
        with reachable():
            rows = await self.pool.fetch(SQL["keep"], stage, list(values), marks, raws)
        return {row["key"]: row["number"] for row in rows}

    async def find(self, stage: str, key: bytes, mark: int, /) -> bytes | None:
        """Return a value; None when there is none.

        Raises:
            Unavailable: Postgres is down.
        """
        with reachable():
            found: bytes | None = await self.pool.fetchval(SQL["find"], stage, key, mark)
        return found

    async def tidy(self, stage: str, numbers: Mapping[bytes, int], /) -> None:
        """Delete what was kept of these conversations before the rows with these numbers.

        Raises:
            Unavailable: Postgres is down.
        """
        with reachable():
            await self.pool.execute(SQL["tidy"], stage, list(numbers), list(numbers.values()))
