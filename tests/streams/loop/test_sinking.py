"""Sinks: batches in order, a store that is down, a record that can never be written."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from aiokafka import TopicPartition

from schemas.errors import PipelineError, Refusing, Rejected, Unavailable
from schemas.events import MessageReceived
from sinks.ports import Recorded
from streams import sinking
from streams.local.stack import Stack
from streams.publish import Publisher, Record
from streams.sinking import Lost, SinkRunner, in_order
from tests.streams.loop.fakes import FakePublisher
from tests.streams.loop.harness import create, everything, lag, post, publish, publishing, until
from tests.streams.loop.toy import JsonCodec, Names, received, toy_settings

NAMES = Names("sink")


@dataclass
class Row:
    topic: str
    offset: int
    value: bytes | None
    partition: int = 0
    timestamp: int = 0
    key: bytes | None = b"conv_0"
    headers: tuple[tuple[str, bytes], ...] = ()


class FakeConsumer:
    def __init__(self) -> None:
        self.committed: dict[TopicPartition, int] = {}

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.committed.update(offsets)

    def highwater(self, _: TopicPartition) -> int | None:
        return None


@dataclass
class Shelf:
    """A sink that keeps what it is given; ``fail`` raises what it returns."""

    batches: list[list[str]] = field(default_factory=list)
    down: list[Exception] = field(default_factory=list)
    hated: frozenset[str] = frozenset()

    async def write(self, batch: Sequence[Recorded]) -> None:
        if self.down:
            raise self.down.pop()
        wamids = [r.event.wamid for r in batch if isinstance(r.event, MessageReceived)]
        if self.hated & set(wamids):
            raise Rejected("no_good")
        self.batches.append(wamids)

    def kept(self) -> list[str]:
        return [wamid for batch in self.batches for wamid in batch]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAIT_S", "LONGEST_WAIT_S"):
        monkeypatch.setattr(sinking, name, 0.001)


@contextlib.asynccontextmanager
async def shelving(shelf: Shelf) -> AsyncIterator[tuple[SinkRunner, FakeConsumer, FakePublisher]]:
    publisher, consumer = FakePublisher(), FakeConsumer()
    runner = SinkRunner(
        shelf,
        (NAMES.inbox,),
        "toy.shelf",
        settings=toy_settings("127.0.0.1:1"),
        codec=JsonCodec(),
        publisher=publisher,
    )
    real, runner.consumer = runner.consumer, consumer
    try:
        yield runner, consumer, publisher
    finally:
        await real.stop()


def rows(count: int, conversation: int = 0) -> list[Row]:
    codec = JsonCodec()
    return [
        Row(NAMES.inbox.name, n, codec.encode(received(NAMES, conversation, n)), timestamp=n)
        for n in range(count)
    ]


INBOX = TopicPartition(NAMES.inbox.name, 0)


async def test_a_batch_is_committed_after_it_was_written() -> None:
    shelf = Shelf()
    async with shelving(shelf) as (runner, consumer, _):
        await runner.write({INBOX: rows(3)})

    assert shelf.kept() == [f"wamid.0.{n}" for n in range(3)]
    assert consumer.committed == {INBOX: 3}


@pytest.mark.parametrize("down", [Unavailable("postgres"), Refusing("postgres", "no password")])
async def test_a_store_that_is_down_is_waited_for_and_the_same_batch_is_written(
    down: Unavailable,
) -> None:
    shelf = Shelf(down=[down] * 5)
    async with shelving(shelf) as (runner, consumer, publisher):
        await runner.write({INBOX: rows(3)})
        assert runner.dependencies.why() is None

    assert shelf.batches == [[f"wamid.0.{n}" for n in range(3)]]
    assert consumer.committed == {INBOX: 3}
    assert publisher.posted == []


async def test_a_bad_record_is_found_buried_and_its_neighbours_are_written_in_order() -> None:
    shelf = Shelf(hated=frozenset({"wamid.0.3"}))
    async with shelving(shelf) as (runner, consumer, publisher):
        await runner.write({INBOX: rows(8)})

    assert shelf.kept() == [f"wamid.0.{n}" for n in range(8) if n != 3]
    (letter,) = publisher.on(NAMES.inbox.dlq)
    assert dict(letter.headers)["dlq.original.offset"] == b"3"
    assert dict(letter.headers)["dlq.group"] == b"toy.shelf"
    assert consumer.committed == {INBOX: 8}


async def test_poison_is_buried_and_the_rest_is_written() -> None:
    shelf = Shelf()
    batch = rows(3)
    batch[1].value = b"\x01junk"
    async with shelving(shelf) as (runner, consumer, publisher):
        await runner.write({INBOX: batch})

    assert shelf.kept() == ["wamid.0.0", "wamid.0.2"]
    assert publisher.on(NAMES.inbox.dlq)[0].value == b"\x01junk"
    assert consumer.committed == {INBOX: 3}


async def test_a_bug_of_the_store_is_tried_a_few_times_then_buried() -> None:
    shelf = Shelf(down=[ValueError("secret")] * sinking.TRIES)
    async with shelving(shelf) as (runner, _, publisher):
        await runner.write({INBOX: rows(1)})

    (letter,) = publisher.on(NAMES.inbox.dlq)
    assert dict(letter.headers)["dlq.error.type"] == b"bug"
    assert b"secret" not in dict(letter.headers)["dlq.error.message"]


async def test_too_many_in_a_row_stop_the_sink() -> None:
    shelf = Shelf(hated=frozenset(f"wamid.0.{n}" for n in range(sinking.FUSE + 5)))
    async with shelving(shelf) as (runner, consumer, _):
        with pytest.raises(PipelineError, match="in a row"):
            await runner.write({INBOX: rows(sinking.FUSE + 5)})

    assert consumer.committed == {}


async def test_a_batch_whose_partitions_were_taken_away_is_not_committed() -> None:
    shelf = Shelf(down=[Unavailable("postgres")] * 1000)
    async with shelving(shelf) as (runner, consumer, _):
        writing = asyncio.ensure_future(runner.write({INBOX: rows(1)}))
        await asyncio.sleep(0)
        runner.assignments += 1

        with pytest.raises(Lost):
            await writing

    assert shelf.down  # it did not go on trying
    assert consumer.committed == {}


async def test_partitions_lost_while_a_batch_is_written_are_not_committed() -> None:
    @dataclass
    class Slow(Shelf):
        async def write(self, batch: Sequence[Recorded]) -> None:
            await super().write(batch)
            runner.assignments += 1

    shelf = Slow()
    async with shelving(shelf) as (runner, consumer, _):
        with pytest.raises(Lost):
            await runner.write({INBOX: rows(1)})

    assert shelf.kept() == ["wamid.0.0"]
    assert consumer.committed == {}


@pytest.mark.parametrize(
    ("fetched", "gathers"),
    [(3, [0.25]), (sinking.BATCH, []), (0, [])],
    ids=["some", "full", "none"],
)
async def test_a_sink_gathers_after_a_batch_that_was_not_full(
    fetched: int, gathers: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[float] = []
    async with shelving(Shelf()) as (runner, consumer, _):
        runner.gather_s = 0.25

        async def getmany(**_: int) -> dict[TopicPartition, list[Row]]:
            runner.stopping.set()
            return {INBOX: rows(fetched)} if fetched else {}

        async def pause(seconds: float) -> None:
            paused.append(seconds)

        monkeypatch.setattr("streams.sinking.time.monotonic", lambda: 100.0)
        monkeypatch.setattr(consumer, "getmany", getmany, raising=False)
        monkeypatch.setattr(runner, "_pause", pause)
        await runner._run()

    assert paused == gathers


def test_records_of_several_topics_are_merged_by_time_and_each_keeps_its_order() -> None:
    first = [Row("a", n, None, timestamp=t) for n, t in enumerate([5, 3, 9])]
    second = [Row("b", n, None, timestamp=t) for n, t in enumerate([4, 6])]

    merged = in_order({TopicPartition("a", 0): first, TopicPartition("b", 0): second})

    assert [(row.topic, row.offset) for row in merged] == [
        ("b", 0),
        ("a", 0),
        ("a", 1),
        ("b", 1),
        ("a", 2),
    ]


@pytest.mark.integration
async def test_a_restarted_sink_goes_on_where_it_committed(stack: Stack) -> None:
    bootstrap, names = stack.kafka_bootstrap, Names(uuid4().hex[:8])
    create(bootstrap, names)
    group = f"toy.{names.run}.shelf"

    def runner(shelf: Shelf, publisher: Publisher) -> SinkRunner:
        return SinkRunner(
            shelf,
            (names.inbox,),
            group,
            settings=toy_settings(bootstrap),
            codec=JsonCodec(),
            publisher=publisher,
        )

    async def drained() -> bool:
        return await lag(bootstrap, group, names.inbox.name) == 0

    async with publishing(bootstrap) as publisher:
        await publish(publisher, *(received(names, c, n) for n in range(50) for c in range(10)))
        await post(publisher, Record(names.inbox.name, b"conv_0", b"\x01junk"))
        first, second = Shelf(down=[Unavailable("postgres")] * 2), Shelf()
        sink = runner(first, publisher)
        await sink.start()
        await until(drained, "everything written")
        await sink.stop()
        await publish(publisher, received(names, 0, 50))
        sink = runner(second, publisher)
        await sink.start()
        await until(drained, "the rest written")
        await sink.stop()

    for conversation in range(10):
        mine = [w for w in first.kept() if w.startswith(f"wamid.{conversation}.")]
        assert mine == [f"wamid.{conversation}.{n}" for n in range(50)]
    assert second.kept() == ["wamid.0.50"]
    assert len(await everything(bootstrap, names.inbox.dlq)) == 1
