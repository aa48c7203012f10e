"""One process among those that live: its heartbeat, and how much of the settings it has applied.

Rule 1: it is on the list before it looks where the settings end, so whoever publishes
afterwards finds it there.
Rule 2: what it reports is in use already. Whatever Postgres answers, the process works on, and
reports again with the next heartbeat.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, Protocol
from uuid import UUID, uuid4

import structlog

from schemas.errors import PipelineError
from streams.logs import place

log = structlog.get_logger(__name__)

HEARTBEAT_S: Final = 2.0


class Rows(Protocol):
    """Where processes report (``sinks.processes.Processes``)."""

    async def report(self, process_id: UUID, process: str, settings_offset: int, /) -> None:
        """Say that a process lives, and how much it has applied."""

    async def leave(self, process_id: UUID, /) -> None:
        """Say that a process ends."""


class Presence:
    """Reports one process.

    Attributes:
        process_id: Tells it from every other, whatever they are called.
        applied: Offset of ``tenant.settings.changed`` below which everything is in use.
    """

    def __init__(self, rows: Rows, process: str, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self.rows = rows
        self.process = process
        self.heartbeat_s = heartbeat_s
        self.process_id = uuid4()
        self.applied = 0
        self.news = asyncio.Event()
        self.unheard = False
        self.task: asyncio.Task[None] | None = None

    async def join(self) -> None:
        """Report for the first time, and go on reporting until it leaves."""
        if self.task is None:
            await self._report()
            self.task = asyncio.create_task(self._live(), name="presence")

    def reached(self, offset: int) -> None:
        """Note how much is in use; it is reported at once."""
        if offset != self.applied:
            self.applied = offset
            self.news.set()

    async def leave(self) -> None:
        """Report no more; a row that cannot be taken away expires."""
        if self.task is None:
            return
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        self.task = None
        try:
            await self.rows.leave(self.process_id)
        except Exception as exc:  # noqa: BLE001 - what else the process has to end comes after it
            log.warning("presence.left_behind", error=_said(exc))

    async def _live(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.heartbeat_s):
                    await self.news.wait()
            self.news.clear()
            await self._report()

    async def _report(self) -> None:
        try:
            await self.rows.report(self.process_id, self.process, self.applied)
        except Exception as exc:  # noqa: BLE001 - who is silent is taken for dead, without a word
            if not self.unheard:
                log.warning("presence.unheard", error=_said(exc))
            self.unheard = True
        else:
            self.unheard = False


def _said(exc: Exception) -> str:
    """Return what may be written of an error: the words of ours, the place of any other."""
    return str(exc) if isinstance(exc, PipelineError) else place(exc)
