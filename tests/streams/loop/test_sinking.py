"""Sinks: batches in order, a store that is down, a record that can never be written."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from schemas.errors import Refusing, Unavailable
from schemas.events import Event
from sinks.ports import Recorded
from streams import sinking
from streams.consumer import seat
from streams.consumer.account import Account
from streams.consumer.ledger import Ledger
from streams.consumer.ordering import in_order
from streams.consumer.seat import Lost
from streams.consumer.vouching import Voucher
from streams.deadletters.fuse import FUSE, FuseBlown
from streams.kafka.publish import MAX_RECORD_BYTES, Record
from streams.local.stack import Stack
from streams.metrics import PARKED
from streams.sinking import SinkRunner
from streams.state.proof import OtherLog, Proof
from streams.state.records import checksum_of
from tests.streams.loop.fakes import FakePublisher, too_large
from tests.streams.loop.harness import create, everything, lag, post, publish, publishing, until
from tests.streams.loop.shelf import Shelf, group_of, sink_of
from tests.streams.loop.toy import JsonCodec, Names, received

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
    """A member of a group that has one partition."""

    def __init__(self) -> None:
        self.told: dict[TopicPartition, OffsetAndMetadata] = {}
        self._coordinator = self
        self.end: int | None = None

    @property
    def committed(self) -> dict[TopicPartition, int]:
        return {place: told.offset for place, told in self.told.items()}

    def assignment(self) -> set[TopicPartition]:
        return {INBOX, *self.told}

    async def fetch_committed_offsets(self, _: object) -> dict[TopicPartition, OffsetAndMetadata]:
        return dict(self.told)

    async def beginning_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        self.told.update(offsets)

    def highwater(self, _: TopicPartition) -> int | None:
        return self.end


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAIT_S", "LONGEST_WAIT_S"):
        monkeypatch.setattr(sinking, name, 0.001)
    monkeypatch.setattr(seat, "disproved", nothing)


async def nothing(_bootstrap: str, _proofs: Mapping[TopicPartition, Proof]) -> set[TopicPartition]:
    """Find every log as it was."""
    return set()


@contextlib.asynccontextmanager
async def shelving(shelf: Shelf) -> AsyncIterator[tuple[SinkRunner, FakeConsumer, FakePublisher]]:
    publisher, consumer = FakePublisher(), FakeConsumer()
    runner = sink_of(shelf, NAMES, publisher, "127.0.0.1:1")
    runner.seat.consumer = consumer
    yield runner, consumer, publisher


async def write(runner: SinkRunner, batch: Sequence[Row]) -> None:
    """Write a batch that a broker has told of."""
    first, end = batch[0].offset, batch[-1].offset + 1
    account = runner.seat.auditor.accounts.setdefault(INBOX, Account(first))
    account.told(first, end, [(row.offset, row.offset + 1) for row in batch])
    await runner.write({INBOX: batch})


def rows(count: int, conversation: int = 0, text: str = "") -> list[Row]:
    codec = JsonCodec()
    return [
        Row(NAMES.inbox.name, n, codec.encode(received(NAMES, conversation, n, text)), timestamp=n)
        for n in range(count)
    ]


def vouched(last: Row, *, given_up: int = 0) -> OffsetAndMetadata:
    """Return what is committed behind a record."""
    proof = Proof(last.offset, checksum_of(last.value))
    return OffsetAndMetadata(last.offset + 1, str(Voucher(given_up=given_up, proof=proof)))


INBOX = TopicPartition(NAMES.inbox.name, 0)
ALL = frozenset(f"wamid.0.{n}" for n in range(FUSE + 5))


async def test_a_batch_is_committed_after_it_was_written() -> None:
    shelf = Shelf()
    async with shelving(shelf) as (runner, consumer, _):
        await write(runner, rows(3))

    assert shelf.kept() == [f"wamid.0.{n}" for n in range(3)]
    assert consumer.committed == {INBOX: 3}


@pytest.mark.parametrize("down", [Unavailable("postgres"), Refusing("postgres", "no password")])
async def test_a_store_that_is_down_is_waited_for_and_the_same_batch_is_written(
    down: Unavailable,
) -> None:
    shelf = Shelf(down=[down] * 5)
    async with shelving(shelf) as (runner, consumer, publisher):
        await write(runner, rows(3))
        assert runner.dependencies.why() is None

    assert shelf.batches == [[f"wamid.0.{n}" for n in range(3)]]
    assert consumer.committed == {INBOX: 3}
    assert publisher.posted == []


async def test_a_bad_record_is_found_buried_and_its_neighbours_are_written_in_order() -> None:
    shelf = Shelf(hated=frozenset({"wamid.0.3"}))
    async with shelving(shelf) as (runner, consumer, publisher):
        await write(runner, rows(8))

    assert shelf.kept() == [f"wamid.0.{n}" for n in range(8) if n != 3]
    (letter,) = publisher.on(NAMES.inbox.dlq)
    assert dict(letter.headers)["dlq.original.offset"] == b"3"
    assert dict(letter.headers)["dlq.group"] == group_of(NAMES).encode()
    assert consumer.committed == {INBOX: 8}


async def test_what_a_sink_gives_up_is_counted_as_that_of_a_stage_is() -> None:
    given_up = PARKED.labels("shelf", "no_good")
    before = given_up._value.get()

    async with shelving(Shelf(hated=frozenset({"wamid.0.3"}))) as (runner, _, _):
        await write(runner, rows(8))

    assert given_up._value.get() == before + 1


async def test_poison_is_buried_and_the_rest_is_written() -> None:
    shelf = Shelf()
    batch = rows(3)
    batch[1].value = b"\x01junk"
    async with shelving(shelf) as (runner, consumer, publisher):
        await write(runner, batch)

    assert shelf.kept() == ["wamid.0.0", "wamid.0.2"]
    assert publisher.on(NAMES.inbox.dlq)[0].value == b"\x01junk"
    assert consumer.committed == {INBOX: 3}


async def test_a_record_that_no_letter_could_hold_does_not_end_the_sink() -> None:
    shelf = Shelf()
    batch = rows(2)
    batch[0].value = b"x" * (MAX_RECORD_BYTES + 1)
    async with shelving(shelf) as (runner, consumer, publisher):
        publisher.refuse = too_large
        await write(runner, batch)

    assert shelf.kept() == ["wamid.0.1"]
    assert len(publisher.on(NAMES.inbox.dlq)) == 1
    assert consumer.committed == {INBOX: 2}


async def test_a_bug_of_the_store_is_tried_a_few_times_then_buried() -> None:
    shelf = Shelf(down=[ValueError("secret")] * sinking.TRIES)
    async with shelving(shelf) as (runner, _, publisher):
        await write(runner, rows(1))

    (letter,) = publisher.on(NAMES.inbox.dlq)
    assert dict(letter.headers)["dlq.error.type"] == b"bug"
    assert b"secret" not in dict(letter.headers)["dlq.error.message"]


async def test_too_many_in_a_row_stop_the_sink() -> None:
    async with shelving(Shelf(hated=ALL)) as (runner, consumer, publisher):
        with pytest.raises(FuseBlown, match="shelf: 25 events in a row"):
            await write(runner, rows(FUSE + 5))

    letters = publisher.on(NAMES.inbox.dlq)
    assert [dict(letter.headers)["dlq.original.offset"] for letter in letters] == [
        str(offset).encode() for offset in range(FUSE - 1)
    ]
    assert consumer.told == {INBOX: vouched(rows(FUSE)[FUSE - 2], given_up=FUSE - 1)}


async def test_a_bug_in_reading_records_stops_the_sink_too() -> None:
    """A bad deploy: what no code can read is a bad record, what ours stumbles over is not."""

    class Buggy(JsonCodec):
        async def read(self, raw: bytes | None) -> Event:
            raise LookupError(f"of a new release: {len(raw or b'')}")

    shelf = Shelf()
    async with shelving(shelf) as (runner, consumer, publisher):
        runner.codec = Buggy()
        with pytest.raises(FuseBlown, match="the last one as `bug`"):
            await write(runner, rows(FUSE + 5))

    assert len(publisher.on(NAMES.inbox.dlq)) == FUSE - 1
    assert consumer.told == {INBOX: vouched(rows(FUSE)[FUSE - 2], given_up=FUSE - 1)}


async def test_a_burnt_fuse_outlives_a_restart_and_stops_the_sink_at_the_first_failure() -> None:
    async with shelving(Shelf(hated=ALL)) as (runner, consumer, _):
        with pytest.raises(FuseBlown):
            await write(runner, rows(FUSE + 5))
    async with shelving(Shelf(hated=ALL)) as (again, restarted, publisher):
        restarted.told = dict(consumer.told)
        with pytest.raises(FuseBlown):
            await write(again, rows(FUSE + 5)[consumer.committed[INBOX] :])

    assert publisher.posted == []
    assert restarted.told == consumer.told


async def test_a_success_sets_the_fuse_back_for_good_in_every_partition() -> None:
    other = TopicPartition(NAMES.inbox.name, 1)
    async with shelving(Shelf()) as (runner, consumer, _):
        consumer.told = {
            INBOX: OffsetAndMetadata(0, "audited;given_up=2"),
            other: OffsetAndMetadata(7, "audited;given_up=3"),
        }
        await write(runner, rows(1))

        assert runner.fuse.burnt == 0

    assert consumer.told == {
        INBOX: vouched(rows(1)[0]),
        other: OffsetAndMetadata(7, "audited"),
    }


async def test_nothing_is_given_up_before_it_is_counted() -> None:
    async with shelving(Shelf(hated=ALL)) as (runner, consumer, publisher):
        letters: list[int] = []

        async def commit(offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
            letters.append(len(publisher.posted))
            if len(letters) < 3:
                raise KafkaError
            consumer.told.update(offsets)

        consumer.commit = commit  # type: ignore[method-assign] # a broker that refuses at first
        await write(runner, rows(1))

    assert letters == [0, 0, 0, 1, 1]
    assert consumer.told == {INBOX: vouched(rows(1)[0], given_up=1)}


async def test_nothing_is_committed_past_a_record_that_was_lost_on_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with shelving(Shelf()) as (runner, consumer, _):
        whole = runner._write
        monkeypatch.setattr(runner, "_write", lambda batch: whole([*batch[:2], *batch[3:]]))
        await write(runner, rows(5))

    assert consumer.committed == {INBOX: 2}


async def test_a_commit_that_would_skip_a_record_is_refused_whatever_the_ledger_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Ledger, "safe", lambda ledger: ledger.next)
    async with shelving(Shelf()) as (runner, consumer, _):
        whole = runner._write
        monkeypatch.setattr(runner, "_write", lambda batch: whole([*batch[:2], *batch[3:]]))
        await write(runner, rows(5))

        assert runner.seat.auditor.accounts[INBOX].missing(5) == [(2, 3)]

    assert consumer.committed == {}


async def test_a_bad_record_behind_good_ones_is_committed_with_them() -> None:
    batch = rows(3)
    batch[2].value = b"\x01junk"
    async with shelving(Shelf()) as (runner, consumer, _):
        await write(runner, batch)

    assert consumer.committed == {INBOX: 3}


async def test_the_books_begin_where_the_group_has_committed_and_a_commit_is_vouched_for() -> None:
    async with shelving(Shelf()) as (runner, consumer, _):
        consumer.told[INBOX] = OffsetAndMetadata(2, "audited")
        await write(runner, rows(5)[2:])

    assert consumer.told == {INBOX: vouched(rows(5)[4])}


async def test_a_call_is_within_its_limit_until_the_limit_is_over_and_is_none_when_it_ended() -> (
    None
):
    async with shelving(Shelf()) as (runner, _, _):
        batch = rows(1, text="wait 60")
        writing = asyncio.ensure_future(write(runner, batch))
        await until(lambda: runner.seat.ledgers, "a batch")
        assert runner.began_s is not None
        began_s = runner.began_s

        assert runner.calling(began_s + runner.call_limit_s - 1)
        assert not runner.calling(began_s + runner.call_limit_s + 1)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert not runner.calling(began_s)


async def test_a_sink_knows_how_far_behind_it_is_before_its_first_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with shelving(Shelf()) as (runner, consumer, _):
        consumer.told[INBOX] = OffsetAndMetadata(2, "audited")
        runner.seat.serving = True

        async def getmany(**_: int) -> dict[TopicPartition, list[Row]]:
            runner.stopping.set()
            return {}

        monkeypatch.setattr(consumer, "getmany", getmany, raising=False)
        await runner._run()

        assert runner.seat.auditor.behind({INBOX: 9}) == 7


async def test_a_log_that_ends_before_what_was_read_of_it_is_read_anew() -> None:
    shelf = Shelf()
    async with shelving(shelf) as (runner, consumer, _):
        await write(runner, rows(5))
        runner.seat.auditor.expelled[INBOX] = 5
        runner.seat.auditor.asked(SimpleNamespace(topics=[(INBOX.topic, [(0, 0, 1)])]))
        await write(runner, rows(3))

    assert shelf.kept()[5:] == [f"wamid.0.{n}" for n in range(3)]
    assert consumer.committed == {INBOX: 3}


async def test_a_commit_says_which_record_was_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read again at each assignment: a log that changes only at its end has it still."""
    asked: list[Mapping[TopicPartition, Proof]] = []
    batch = rows(5)

    async def look(_: str, proofs: Mapping[TopicPartition, Proof]) -> set[TopicPartition]:
        asked.append(dict(proofs))
        return set()

    monkeypatch.setattr(seat, "disproved", look)
    async with shelving(Shelf()) as (runner, consumer, _):
        await write(runner, batch[:3])
        runner.seat.assignments += 1
        await write(runner, batch[3:])

    assert consumer.told == {INBOX: vouched(batch[4])}
    assert asked == [{}, {INBOX: Proof(2, checksum_of(batch[2].value))}]


async def test_nothing_is_written_or_committed_of_a_log_that_is_another_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was cut and has grown again: what is new below the commit would never be read."""

    async def wrong(_: str, proofs: Mapping[TopicPartition, Proof]) -> set[TopicPartition]:
        return set(proofs)

    shelf = Shelf()
    async with shelving(shelf) as (runner, consumer, publisher):
        await write(runner, rows(3))
        runner.seat.assignments += 1
        monkeypatch.setattr(seat, "disproved", wrong)

        with pytest.raises(OtherLog, match=f"partition 0 of {INBOX.topic} is another log"):
            await write(runner, rows(5)[3:])

    assert len(shelf.batches) == 1
    assert consumer.committed == {INBOX: 3}
    assert publisher.posted == []


async def test_a_batch_whose_partitions_were_taken_away_is_not_committed() -> None:
    shelf = Shelf(down=[Unavailable("postgres")] * 1000)
    async with shelving(shelf) as (runner, consumer, _):
        writing = asyncio.ensure_future(write(runner, rows(1)))
        await asyncio.sleep(0)
        runner.seat.assignments += 1

        with pytest.raises(Lost):
            await writing

    assert shelf.down  # it did not go on trying
    assert consumer.committed == {}


async def test_partitions_lost_while_a_batch_is_written_are_not_committed() -> None:
    @dataclass
    class Slow(Shelf):
        async def write(self, batch: Sequence[Recorded]) -> None:
            await super().write(batch)
            runner.seat.assignments += 1

    shelf = Slow()
    async with shelving(shelf) as (runner, consumer, _):
        with pytest.raises(Lost):
            await write(runner, rows(1))

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
    group = group_of(names)

    async def drained() -> bool:
        return await lag(bootstrap, group, names.inbox.name) == 0

    async with publishing(bootstrap) as publisher:
        await publish(publisher, *(received(names, c, n) for n in range(50) for c in range(10)))
        await post(publisher, Record(names.inbox.name, b"conv_0", b"\x01junk"))
        first, second = Shelf(down=[Unavailable("postgres")] * 2), Shelf()
        sink = sink_of(first, names, publisher, bootstrap)
        await sink.start()
        await until(drained, "everything written")
        await sink.stop()
        await publish(publisher, received(names, 0, 50))
        sink = sink_of(second, names, publisher, bootstrap)
        await sink.start()
        await until(drained, "the rest written")
        await sink.stop()

    for conversation in range(10):
        mine = [w for w in first.kept() if w.startswith(f"wamid.{conversation}.")]
        assert mine == [f"wamid.{conversation}.{n}" for n in range(50)]
    assert second.kept() == ["wamid.0.50"]
    assert len(await everything(bootstrap, names.inbox.dlq)) == 1
