"""Natural ids of hot conversations, which their states have no room for.

WhatsApp may deliver a message again for 7 days, however many came since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import asyncpg

from sinks.database import queries, reachable

SQL: Final = queries("seen_ids")

WIDTH: Final = 12
"""Characters of one packed id (``agents.core.seen``)."""
KEPT_DAYS: Final = 8


class SeenIds:
    """The ``agents.ports.Archive`` of production."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    async def keep(self, conversation_id: str, ids: Mapping[str, str], /) -> None:
        """Keep packed ids, by their day; rows that nothing can ask for any more are deleted.

        Raises:
            Unavailable: Postgres is down.
        """
        rows = [
            (int(day), packed[at : at + WIDTH])
            for day, packed in ids.items()
            for at in range(0, len(packed), WIDTH)
        ]
        if not rows:
            return
        days, each = zip(*rows, strict=True)
        with reachable():
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute(SQL["keep"], conversation_id, days, each)
                await connection.execute(SQL["forget"], max(days) - KEPT_DAYS)

    async def knows(self, conversation_id: str, packed: str, /) -> bool:
        """Say whether an id is kept.

        Raises:
            Unavailable: Postgres is down.
        """
        with reachable():
            return bool(await self.pool.fetchval(SQL["knows"], conversation_id, packed))
