"""Notices freezes that may have cost this worker its group membership.

A process that was paused longer than its session is a zombie: its partitions have a new owner.
After such a pause nothing is written until a commit was accepted; the broker takes one only
from a current member of the group.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from streams.clock import elapsed_s

log = structlog.get_logger(__name__)

LOOKS: Final = 8
"""How often the clock is looked at within the longest harmless freeze."""


class Fenced(Exception):
    """This worker may have lost its partitions; nothing more may be written."""


class Group(Protocol):
    """The group as this process knows it."""

    consumer_generation_id: int


class Pulse:
    """Watches for freezes; ``prove`` commits, to learn whether the group still has us.

    Attributes:
        limit_s: Longest harmless freeze; below the session timeout.
    """

    def __init__(self, prove: Callable[[], Awaitable[bool]], limit_s: float) -> None:
        self.prove = prove
        self.limit_s = limit_s
        self.beat = elapsed_s()
        self.suspect = False
        self.failed = 0
        self.task: asyncio.Task[None] | None = None
        self.lock = asyncio.Lock()

    def start(self) -> None:
        """Begin to watch."""
        self.beat = elapsed_s()
        self.task = asyncio.create_task(self._run(), name="pulse")

    async def stop(self) -> None:
        """Watch no more."""
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task

    def calm(self) -> bool:
        """Tell whether nothing is suspected; else ask ``trusted``."""
        self.look()
        return not self.suspect

    async def trusted(self) -> bool:
        """Tell whether this worker may write now."""
        if self.calm():
            return True
        failed = self.failed
        async with self.lock:
            if failed == self.failed:  # else those who waited with us were told no
                await self._clear()
            return not self.suspect

    async def fence(self, group: Group, generation_id: int) -> None:
        """Refuse to write for partitions that may have another owner.

        Args:
            group: Where this worker is a member.
            generation_id: The generation in which the partitions were ours.

        Raises:
            Fenced: There was a rebalance since, or a freeze after which nothing was proved.
        """
        trusted = self.calm() or await self.trusted()
        # Looked at last: a rebalance may come while membership is proved.
        if not trusted or generation_id != group.consumer_generation_id:
            raise Fenced

    async def owned(self, group: Group, generation_id: int) -> None:
        """Prove that what was acknowledged before was written by the owner of the partitions.

        Unlike ``fence`` it looks back: what it proves stays true, however late it is made use of.

        Raises:
            Fenced: There was a rebalance since, or the broker takes no commit.
        """
        async with self.lock:
            proved = await self.prove()
        if not proved or generation_id != group.consumer_generation_id:
            raise Fenced

    async def _clear(self) -> None:
        if self.suspect and await self.prove():
            self.suspect = False
        elif self.suspect:
            self.failed += 1

    def look(self) -> None:
        """Take the pulse."""
        now = elapsed_s()
        if now - self.beat > self.limit_s:
            log.warning("worker.frozen", seconds=round(now - self.beat, 1))
            self.suspect = True
        self.beat = now

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.limit_s / LOOKS)
            self.look()
