"""Leases: what each worker may send from a business number, as rows of Postgres.

Rule 1: a number's rows are read and written by one worker at a time, so what the worker takes was
free. Rule 2: a row counts until it expired and WhatsApp has forgotten what its worker sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg

from sinks.database import queries, reachable

SQL: Final = queries("leases")

VALID_S: Final = 2.0
"""How long a worker may use what it took, from before it asked."""
GRACE_S: Final = 1.5
"""How much longer others leave it alone: WhatsApp's second, and a request on its way."""
ANSWER_S: Final = 1.0
"""A renewal that takes longer is given up: the next one may still be in time."""

Decide = Callable[[str, Mapping[str, tuple[int, int]]], tuple[int, int]]
"""Given a number and the others' (share, wanted) by worker: what to take and what is wanted."""


class PostgresLeases:
    """The leases of one worker.

    Attributes:
        worker_id: Tells it from every other, whatever they are called.
    """

    def __init__(self, pool: asyncpg.Pool, worker: str) -> None:
        self.pool = pool
        self.worker = worker
        self.worker_id: UUID = uuid4()

    async def renew(self, numbers: list[str], decide: Decide) -> dict[str, int]:
        """Take a share of each number until ``VALID_S`` from now; return the shares.

        Raises:
            Unavailable: Postgres is down or slow.
            Misconfigured: The table is not there yet.
        """
        with reachable():
            async with (
                asyncio.timeout(ANSWER_S),
                self.pool.acquire() as connection,
                connection.transaction(),
            ):
                return await self._renew(connection, numbers, decide)

    async def _renew(self, connection: Any, numbers: list[str], decide: Decide) -> dict[str, int]:
        await connection.execute(SQL["lock"], numbers)
        others: dict[str, dict[str, tuple[int, int]]] = {number: {} for number in numbers}
        for row in await connection.fetch(SQL["others"], numbers, self.worker_id, GRACE_S):
            others[row["phone_number_id"]][str(row["worker_id"])] = (row["share"], row["wanted"])
        taken = {number: decide(number, others[number]) for number in numbers}
        shares = [share for share, _ in taken.values()]
        wanted = [wants for _, wants in taken.values()]
        await connection.execute(
            SQL["write"], self.worker_id, self.worker, list(taken), shares, wanted, VALID_S
        )
        return {number: share for number, (share, _) in taken.items()}

    async def leave(self) -> None:
        """Give everything up.

        Raises:
            Unavailable: Postgres is down or slow; the rows will expire.
            Misconfigured: The table is not there yet.
        """
        with reachable():
            async with asyncio.timeout(ANSWER_S):
                await self.pool.execute(SQL["leave"], self.worker_id)
