"""Watching the topics live: every record is kept, and others may wait for what they need."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sinks.ports import Recorded
from streams.kafka.reading import Reading
from streams.story.trace import CONVERSATION_TOPICS

T = TypeVar("T")


class Watch:
    """Follows all topics of conversations.

    Attributes:
        records: What has come so far, in the order of coming.
    """

    def __init__(self, reading: Reading, show: Callable[[Recorded], None]) -> None:
        self.reading = reading
        self.show = show
        self.records: list[Recorded] = []
        self._came = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def start(self, since: dict[Any, int]) -> None:
        """Begin after these offsets."""
        self._task = asyncio.create_task(self._follow(since), name="watch")

    async def stop(self) -> None:
        """Watch no more.

        Raises:
            PipelineError: The watching itself failed.
        """
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def until(
        self, find: Callable[[Sequence[Recorded]], T | None], timeout_s: float
    ) -> T | None:
        """Return what is found among the records, once it is; None after the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._came:
                while True:
                    if (found := find(self.records)) is not None:
                        return found
                    await self._came.wait()
        return None

    async def _follow(self, since: dict[Any, int]) -> None:
        async for record in self.reading.follow(CONVERSATION_TOPICS, since):
            self.show(record)
            async with self._came:
                self.records.append(record)
                self._came.notify_all()
