"""A worker's last moments: what it tells its parts when it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams.worker import Worker
from tests.streams.loop.fakes import FixedClock
from tests.streams.loop.toy import toy_settings


class Sink:
    """A sink that notes how it was stopped."""

    name = "transcripts"

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.left: list[bool] = []

    def why_not_ready(self) -> str | None:
        return None

    async def start(self) -> None:
        self.task = asyncio.create_task(asyncio.sleep(3600))

    async def stop(self, *, leave: bool = False) -> None:
        self.left.append(leave)
        if self.task is not None:
            self.task.cancel()


async def nothing() -> Any:
    raise AssertionError("nothing is built here")


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_worker_gives_up_the_places_of_its_sinks_only_when_it_does_not_come_back(
    leaves: bool,
) -> None:
    sink: Any = Sink()
    worker = Worker(toy_settings("127.0.0.1:1"), nothing, clock=FixedClock())
    await worker._start_sink(sink)

    if leaves:
        worker._leave()  # what SIGINT does
    await worker.open.aclose()

    assert sink.left == [leaves]
