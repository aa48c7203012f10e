"""Upkeep of Postgres, in the background of every worker: what nothing asks for any more is deleted.

Whatever fails is tried again later: nothing waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping
from typing import Final, Protocol

import structlog

from schemas.errors import PipelineError
from streams.logs import place

log = structlog.get_logger(__name__)

EVERY_S: Final = 3600.0
"""From one look to the next, on average: workers do not look together."""
PAUSE_S: Final = 0.1
"""Between two batches, so that what conversations ask for comes first."""


class Rows(Protocol):
    """Where they are (``sinks.pruning.Pruning``)."""

    async def prune(self, rows: str, /) -> int:
        """Delete a batch of the oldest rows of one kind; return how many went."""


class Upkeep:
    """Looks for them from time to time.

    Args:
        rows: Where they are.
        batches: How many of each kind a batch has: after a full one there may be more.
    """

    def __init__(
        self,
        rows: Rows,
        batches: Mapping[str, int],
        *,
        every_s: float = EVERY_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        self.rows = rows
        self.batches = batches
        self.every_s = every_s
        self.pause_s = pause_s
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self.task = asyncio.create_task(self._live(), name="upkeep")

    async def stop(self) -> None:
        """Look no more."""
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(random.uniform(0, 2 * self.every_s))  # noqa: S311 - no secret
            for kind in self.batches:
                await self._prune(kind)

    async def _prune(self, kind: str) -> None:
        gone = 0
        try:
            while (count := await self.rows.prune(kind)) >= self.batches[kind]:
                gone += count
                await asyncio.sleep(self.pause_s)
        except Exception as exc:  # noqa: BLE001 - it is tried again, and nothing waits for it
            error = str(exc) if isinstance(exc, PipelineError) else place(exc)
            log.warning("upkeep.failed", rows=kind, gone=gone, error=error)
            return
        if gone := gone + count:
            log.info("upkeep.done", rows=kind, gone=gone)
