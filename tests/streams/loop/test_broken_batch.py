"""A sink that cannot read says so, and a batch that is broken holds up no other partition."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from structlog.testing import capture_logs

from streams import sinking
from streams.consumer import seat
from streams.consumer.account import Account
from streams.sinking import SinkRunner
from tests.streams.loop.fakes import FakePublisher
from tests.streams.loop.harness import until
from tests.streams.loop.shelf import Shelf, sink_of
from tests.streams.loop.toy import JsonCodec, Names, received

NAMES = Names("broken")
EACH = 3
"""Records of a batch."""
FIRST, BROKEN, LAST = (TopicPartition(NAMES.inbox.name, number) for number in range(3))


def batch_of(place: TopicPartition, number: int) -> bytes:
    """Return the bytes of a batch, as a broker keeps it."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 16)
    for index in range(EACH):
        event = received(NAMES, place.partition, number * EACH + index)
        builder.append(index, 1, b"conv", JsonCodec().encode(event), [])
    raw = bytearray(builder.build())
    raw[:8] = (number * EACH).to_bytes(8, "big")  # its base offset: no checksum has it
    return bytes(raw)


def spoiled(raw: bytes) -> bytes:
    """Return it with another last byte."""
    return raw[:-1] + bytes([raw[-1] ^ 1])


class Consumer:
    """aiokafka's own hand-out of what was fetched, over logs in memory."""

    def __init__(self, batches: int) -> None:
        self.logs = {
            place: [batch_of(place, number) for number in range(batches)]
            for place in (FIRST, BROKEN, LAST)
        }
        self.committed: dict[TopicPartition, int] = {}
        self._coordinator = self
        self._assigned = Assignment(list(self.logs))
        for place in self.logs:
            self.seek(place, 0)
        self.fetcher: Any = Fetcher.__new__(Fetcher)
        subscriptions = SimpleNamespace(reassignment_in_progress=False, is_assigned=lambda _: True)
        vars(self.fetcher).update(
            _records={}, _subscriptions=subscriptions, _wait_consume_future=None, _closed=False
        )

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._assigned.state_value(place).seek(offset)

    async def position(self, place: TopicPartition) -> int:
        return int(self._assigned.state_value(place).position)

    def highwater(self, place: TopicPartition) -> int:
        return len(self.logs[place]) * EACH

    def assignment(self) -> set[TopicPartition]:
        return set(self.logs)

    async def fetch_committed_offsets(self, _: object) -> dict[TopicPartition, Any]:
        return {}

    async def beginning_offsets(self, places: Sequence[TopicPartition]) -> dict[Any, int]:
        return dict.fromkeys(places, 0)

    async def commit(self, offsets: dict[TopicPartition, Any]) -> None:
        self.committed |= {place: told.offset for place, told in offsets.items()}

    async def getmany(self, *places: TopicPartition, **how: int) -> Any:
        found: Any = {}
        for _ in range(2):  # what was fetched and is void is fetched again meanwhile
            await self._fill()
            await asyncio.sleep(0)
            found = found or await self.fetcher.fetched_records(
                places, timeout=0, max_records=how["max_records"]
            )
        return found

    async def _fill(self) -> None:
        for place, log in self.logs.items():  # one after another, as a broker's answer has them
            at = await self.position(place)
            if place not in self.fetcher._records and at < self.highwater(place):
                raw = b"".join(log[at // EACH :])
                rows = PartitionRecords(place, MemoryRecords(raw), [], at, None, None, True, 0)
                self.fetcher._records[place] = FetchResult(
                    place, assignment=self._assigned, partition_records=rows, backoff=0
                )


@contextlib.asynccontextmanager
async def sink(
    monkeypatch: pytest.MonkeyPatch, consumer: Consumer
) -> AsyncIterator[tuple[SinkRunner, Shelf]]:
    async def nothing(*_: object) -> set[TopicPartition]:
        return set()

    monkeypatch.setattr(seat, "disproved", nothing)
    monkeypatch.setattr(sinking, "WAIT_S", 0.001)
    shelf = Shelf()
    runner = sink_of(shelf, NAMES, FakePublisher(), "127.0.0.1:1")
    runner.gather_s = 0.0
    runner.seat.consumer = consumer
    runner.seat.serving = True
    for place in consumer.logs:  # what brokers have said of them
        end = consumer.highwater(place)
        account = runner.seat.auditor.accounts.setdefault(place, Account(0))
        account.told(0, end, [(offset, offset + 1) for offset in range(end)])
    running = asyncio.create_task(runner._run())
    try:
        yield runner, shelf
    finally:
        runner.stopping.set()
        await running


def names(place: TopicPartition, count: int) -> list[str]:
    return [f"wamid.{place.partition}.{number}" for number in range(count)]


def of(shelf: Shelf, place: TopicPartition) -> list[str]:
    return [name for name in shelf.kept() if name.startswith(f"wamid.{place.partition}.")]


async def test_the_other_partitions_go_on_and_what_is_before_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What aiokafka had taken of them in the same call is lost with its error."""
    consumer = Consumer(batches=2)
    consumer.logs[BROKEN][1] = spoiled(consumer.logs[BROKEN][1])

    with capture_logs() as logs:
        async with sink(monkeypatch, consumer) as (_, shelf):
            await until(lambda: len(consumer.committed) == 3, "a commit of each partition", 10)
            await asyncio.sleep(0.05)

    assert of(shelf, FIRST) == names(FIRST, 2 * EACH)
    assert of(shelf, LAST) == names(LAST, 2 * EACH)
    assert of(shelf, BROKEN) == names(BROKEN, EACH)
    assert consumer.committed == {FIRST: 6, BROKEN: 3, LAST: 6}
    assert not [each for each in logs if each["event"] == "audit.skipped"]


async def test_whoever_looks_is_told_which_it_is_until_the_broker_has_a_good_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = Consumer(batches=2)
    good = consumer.logs[BROKEN][1]
    consumer.logs[BROKEN][1] = spoiled(good)

    with capture_logs() as logs:
        async with sink(monkeypatch, consumer) as (runner, shelf):
            await until(lambda: len(consumer.committed) == 3, "a commit of each partition", 10)
            await until(runner.why_not_ready, "a word")
            for _ in range(20):
                await asyncio.sleep(0.002)
                assert runner.why_not_ready() == "waiting for kafka"
            consumer.logs[BROKEN][1] = good
            await until(lambda: consumer.committed[BROKEN] == 2 * EACH, "the rest")
            await until(lambda: runner.why_not_ready() is None, "readiness")

    assert of(shelf, BROKEN) == names(BROKEN, 2 * EACH)
    (told,) = [each for each in logs if each["event"] == "sink.broken_batch"]
    where = (BROKEN.topic, BROKEN.partition, EACH)
    assert (told["topic"], told["partition"], told["offset"]) == where
    assert told["log_level"] == "error"


async def test_a_sink_that_cannot_fetch_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its right to read was taken away, say: aiokafka raises that at every fetch."""
    consumer = Consumer(batches=1)
    fetch, refused = consumer.getmany, [True]

    async def getmany(*places: TopicPartition, **how: int) -> Any:
        if refused:
            raise TopicAuthorizationFailedError
        return await fetch(*places, **how)

    monkeypatch.setattr(consumer, "getmany", getmany)
    async with sink(monkeypatch, consumer) as (runner, shelf):
        await until(runner.why_not_ready, "a word", 10)
        for _ in range(20):
            await asyncio.sleep(0.002)
            assert runner.why_not_ready() == "waiting for kafka"
        refused.clear()
        await until(lambda: runner.why_not_ready() is None, "readiness", 10)
        await until(lambda: len(shelf.kept()) == 3 * EACH, "every record", 10)
