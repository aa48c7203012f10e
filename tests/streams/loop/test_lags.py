"""How far behind a worker is: told of what it has, also while a store waits or hangs."""

from __future__ import annotations

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from faust.types import TP

from streams.consumer.ledger import Ledger
from streams.consumer.seat import Seat
from streams.metrics import LAG
from streams.worker import Worker
from tests.streams.loop.berth import Berth
from tests.streams.loop.fakes import FixedClock
from tests.streams.loop.harness import until
from tests.streams.loop.toy import toy_settings

PLACE, OTHER = TopicPartition("m", 0), TopicPartition("m", 1)
GROUP = "toy.lags.shelf"


def told(group: str) -> dict[int, float]:
    """Return the lags that are told of a group, by partition."""
    return {
        int(sample.labels["partition"]): sample.value
        for family in LAG.collect()
        for sample in family.samples
        if sample.labels["consumer_group"] == group
    }


@pytest.fixture
def seat() -> Seat:
    """A sink's place: ten records of each partition are read, seven of one are finished."""
    made = Seat(["m"], GROUP, toy_settings("127.0.0.1:1"))
    made.consumer = SimpleNamespace(assignment=lambda: {PLACE, OTHER}, highwater=lambda _: 10)
    made.opened = made.assignments
    made.ledgers = {PLACE: Ledger(7), OTHER: Ledger(0)}
    return made


def test_a_sink_tells_how_far_behind_it_is_though_it_finishes_nothing(seat: Seat) -> None:
    seat.measure()

    assert told(GROUP) == {0: 3, 1: 10}


def test_a_sink_tells_no_lag_of_a_partition_that_another_one_has(seat: Seat) -> None:
    seat.measure()
    seat.consumer.assignment = lambda: {PLACE}
    seat.measure()

    assert told(GROUP) == {0: 3}


def test_a_sink_tells_no_lag_of_an_assignment_that_is_over(seat: Seat) -> None:
    seat.measure()
    seat.assignments += 1
    seat.measure()

    assert told(GROUP) == {}


async def test_a_worker_tells_no_lag_of_partitions_that_it_gave_away() -> None:
    place = TP("m", 0)
    berth = Berth({place: 120})
    await berth.assigned()
    await berth.run_until(lambda: 119 in berth.room.offsets)
    berth.engine.measure()
    before = told(berth.app.conf.id)

    await berth.consumer.on_partitions_revoked({place})
    berth.engine.measure()

    assert (before, told(berth.app.conf.id)) == ({0: 120}, {})


async def test_a_worker_measures_its_sinks_whatever_their_batches_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[str] = []
    sinks: list[Any] = [
        SimpleNamespace(seat=SimpleNamespace(measure=partial(measured.append, name)))
        for name in ("memory", "transcripts")
    ]
    worker = Worker(toy_settings("127.0.0.1:1"), _nothing, clock=FixedClock())
    monkeypatch.setattr("streams.worker.MEASURE_S", 0.0)

    guard = asyncio.create_task(worker._guard([], sinks))
    await until(lambda: len(measured) >= 4, "two measurements of each")
    guard.cancel()
    await asyncio.gather(guard, return_exceptions=True)

    assert measured[:4] == ["memory", "transcripts"] * 2


async def _nothing() -> Any:
    raise AssertionError("nothing is built here")
