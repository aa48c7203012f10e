"""Processes that keep tenants' settings: a row each, with a heartbeat and what it has applied."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from sinks.database import queries, reachable

SQL: Final = queries("processes")

LIVE_S: Final = 10.0
"""Silence after which a process is taken for dead: five heartbeats in a row are missing."""

KEPT_S: Final = 3600.0
"""How long the row of a dead process is kept, for those who look for it."""

ANSWER_S: Final = 2.0
"""A report that takes longer is given up: the next one says more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process as its row tells.

    Attributes:
        process: What it is called, such as ``whaticket.webhook.0``.
        settings_offset: Everything of ``tenant.settings.changed`` below it is applied.
        started_at: When it first reported.
        silent_s: Seconds since its last report, by the clock of Postgres.
    """

    process: str
    settings_offset: int
    started_at: datetime
    silent_s: float

    @property
    def live(self) -> bool:
        """Whether it is taken for alive."""
        return self.silent_s < LIVE_S


class Processes:
    """The rows of all processes."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    async def report(self, process_id: UUID, process: str, settings_offset: int, /) -> None:
        """Say that a process lives, and how much it has applied; rows long dead are taken away.

        Raises:
            Unavailable: Postgres is down or slow.
            Misconfigured: The table is not there yet.
        """
        await self._run("report", process_id, process, settings_offset, KEPT_S)

    async def leave(self, process_id: UUID, /) -> None:
        """Say that a process ends.

        Raises:
            Unavailable: Postgres is down or slow; the row will expire.
            Misconfigured: The table is not there yet.
        """
        await self._run("leave", process_id)

    async def all(self) -> tuple[Process, ...]:
        """Return every process, those included that died within the last hour.

        Raises:
            Unavailable: Postgres is down.
            Misconfigured: The table is not there yet.
        """
        with reachable():
            return tuple(Process(**row) for row in await self.pool.fetch(SQL["all"]))

    async def _run(self, statement: str, *values: object) -> None:
        with reachable():
            async with asyncio.timeout(ANSWER_S):
                await self.pool.execute(SQL[statement], *values)
