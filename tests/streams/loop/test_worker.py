"""A worker's last moments: what it tells its parts when it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from schemas.errors import Misconfigured
from streams.deadletters.fuse import FuseBlown
from streams.metrics import REFUSED
from streams.state.lineage import other_log
from streams.worker import Worker
from tests.streams.loop.fakes import FixedClock
from tests.streams.loop.harness import until
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


async def another_log() -> Any:
    raise other_log("ai", "toy.inbox", "was created anew")


async def blown() -> Any:
    raise FuseBlown("25 events in a row were given up")


async def misconfigured() -> Any:
    raise Misconfigured("a setting is wrong")


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


async def shown(worker: Worker) -> str:
    """Return the metrics that a worker shows when it has crashed; then stop it."""
    with capture_logs() as lines:
        running = asyncio.create_task(worker.run())
        await until(lambda: any(line["event"] == "worker.crashed" for line in lines), "crashed")
        (port,) = [line["port"] for line in lines if line["event"] == "health.listening"]
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"http://127.0.0.1:{port}/metrics") as answer,
        ):
            page = await answer.text()
        still_running = not running.done()
        worker.stop.set()  # what SIGTERM does

        assert await asyncio.wait_for(running, 10) == 1

    assert still_running
    return page


async def test_the_metrics_of_a_worker_that_refused_a_log_are_shown_for_a_while() -> None:
    worker = Worker(toy_settings("127.0.0.1:1"), another_log, clock=FixedClock(), shown_s=60.0)
    before = REFUSED._value.get()

    assert f"\nlogs_refused_total {before + 1}" in await shown(worker)


async def test_the_metrics_of_a_worker_whose_fuse_has_blown_are_shown_for_a_while() -> None:
    """All of its fuse may burn between two scrapes."""
    worker = Worker(toy_settings("127.0.0.1:1"), blown, clock=FixedClock(), shown_s=60.0)
    before = REFUSED._value.get()

    assert f"\nlogs_refused_total {before}" in await shown(worker)


async def test_a_worker_that_ends_for_another_reason_ends_at_once() -> None:
    worker = Worker(toy_settings("127.0.0.1:1"), misconfigured, clock=FixedClock(), shown_s=60.0)

    assert await asyncio.wait_for(worker.run(), 10) == 1
