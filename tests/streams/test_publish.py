"""The publisher: a producer that can send no more is replaced, and order survives it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar, cast
from uuid import uuid4

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, OutOfOrderSequenceNumber
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # untyped
from hypothesis import given
from hypothesis import strategies as st

from schemas.changing import replace
from schemas.errors import Rejected, Unavailable
from streams.kafka import producing
from streams.kafka.batching import Producer
from streams.kafka.publish import Publisher, Record, record_of
from streams.local.stack import Stack
from streams.metrics import PRODUCERS_RENEWED
from tests.streams.loop.harness import DEADLINE_S, everything, publishing, until
from tests.streams.loop.toy import JsonCodec, Names, received

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

KEYS = 8
RECORDS = 30
TOO_LARGE = b"x" * 400_000


class FakeProducer:
    """A producer whose first one of a test fails as it is told."""

    made: ClassVar[list[FakeProducer]]
    failure: Exception
    failed: Callable[[Any, Exception], None]
    ends = False

    def __init__(self, **_: Any) -> None:
        self.made.append(self)
        self.sent: list[bytes | None] = []
        self.places: list[int | None] = []
        self.partitions = 1
        self.calls: list[str] = []
        self.sender_done = False
        self._sender = SimpleNamespace(
            sender_task=SimpleNamespace(done=lambda: self.sender_done), close=self.close
        )
        self._message_accumulator = SimpleNamespace(fail_all=lambda _: self.calls.append("fail"))

    async def start(self) -> None:
        self.calls.append("start")

    async def close(self) -> None:
        self.calls.append("close")

    async def stop(self) -> None:
        self.calls.append("stop")

    def knows(self, _: str) -> bool:
        return True

    def full(self, *_: object) -> bool:
        return False

    def count(self, _: str) -> int:
        return self.partitions

    def put(self, record: Record, partition: int | None) -> asyncio.Future[tuple[int, int]]:
        first = self is self.made[0]
        if first and self.ends:
            self.sender_done = True
            raise self.failure
        future: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        if first:
            self.failed(self, self.failure)
            future.set_exception(Unavailable("kafka"))
        else:
            self.sent.append(record.value)
            self.places.append(partition)
            future.set_result((0, len(self.sent)))
        return future


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> type[FakeProducer]:
    class Fake(FakeProducer):
        made: ClassVar[list[FakeProducer]] = []
        failure = OutOfOrderSequenceNumber()

    monkeypatch.setattr(producing, "Producer", Fake)
    return Fake


def renewed(error: str) -> float:
    return float(PRODUCERS_RENEWED.labels(error)._value.get())


@pytest.mark.parametrize("ends", [False, True], ids=["a batch fails", "the sender ends"])
async def test_a_broken_producer_is_replaced_before_the_next_record(
    fakes: type[FakeProducer], ends: bool
) -> None:
    fakes.ends = ends
    publisher = Publisher("nowhere:1", client_id="test")
    await publisher.start()
    before = renewed("OutOfOrderSequenceNumber")
    records = [Record("t", b"k", value) for value in (b"1", b"2")]

    with pytest.raises(Unavailable):
        await publisher.publish(records)
    await publisher.publish(records)

    first, second = fakes.made
    assert first.calls == ["start", "close", "fail", "stop"]
    assert second.sent == [b"1", b"2"]
    assert renewed("OutOfOrderSequenceNumber") == before + 1


async def renewing(fakes: type[FakeProducer]) -> tuple[Publisher, list[asyncio.Event]]:
    """A publisher whose producer is broken, and whose next ones connect when they may."""
    publisher = Publisher("nowhere:1", client_id="test")
    await publisher.start()
    with pytest.raises(Unavailable):
        await publisher.publish([Record("t", b"k", b"1")])
    gates: list[asyncio.Event] = []
    start = fakes.start

    async def slowly(self: FakeProducer) -> None:
        gates.append(gate := asyncio.Event())
        await gate.wait()
        await start(self)

    fakes.start = slowly  # type: ignore[method-assign] # of this test's own class
    return publisher, gates


async def test_a_publisher_that_stops_while_it_renews_leaves_no_producer_behind(
    fakes: type[FakeProducer],
) -> None:
    publisher, gates = await renewing(fakes)
    posting = asyncio.create_task(publisher.post(Record("t", b"k", b"2")))
    await until(lambda: gates, "the new producer connects")

    await publisher.stop()
    gates[0].set()

    with pytest.raises(Unavailable):
        await asyncio.wait_for(posting, DEADLINE_S)
    assert [each.calls[-1] for each in fakes.made] == ["stop", "stop"]


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        (asyncio.CancelledError(), asyncio.CancelledError),
        (KafkaConnectionError(), Unavailable),
        (RuntimeError(), RuntimeError),
    ],
    ids=["cancelled", "no broker", "a bug"],
)
async def test_a_producer_that_does_not_come_up_is_stopped(
    fakes: type[FakeProducer], ending: BaseException, told: type[BaseException]
) -> None:
    async def broken(self: FakeProducer) -> None:
        self.calls.append("start")
        raise ending

    fakes.start = broken  # type: ignore[method-assign] # of this test's own class

    with pytest.raises(told):
        await producing.connected()

    assert [each.calls for each in fakes.made] == [["start", "stop"]]


async def test_a_renewal_outlives_whoever_asked_for_it(fakes: type[FakeProducer]) -> None:
    """A lane is cancelled at a rebalance: the producer that it asked for must not stay behind."""
    publisher, gates = await renewing(fakes)
    posting = asyncio.create_task(publisher.post(Record("t", b"k", b"2")))
    await until(lambda: gates, "the new producer connects")

    posting.cancel()
    await asyncio.gather(posting, return_exceptions=True)
    gates[0].set()
    async with asyncio.timeout(DEADLINE_S):
        await publisher.publish([Record("t", b"k", b"3")])

    assert len(fakes.made) == 2
    assert fakes.made[1].sent == [b"3"]


async def test_records_of_one_call_never_go_to_two_producers(fakes: type[FakeProducer]) -> None:
    publisher = Publisher("nowhere:1", client_id="test")
    await publisher.start()

    def records() -> Iterator[Record]:
        yield Record("t", b"k", b"1")
        publisher.producer = cast(Producer, fakes())  # replaced while a call was under way
        yield Record("t", b"k", b"2")

    with pytest.raises(Unavailable):
        await publisher.publish(records())

    assert fakes.made[1].sent == []


async def test_a_key_stays_where_it_was_when_somebody_gives_its_topic_more_partitions(
    fakes: type[FakeProducer],
) -> None:
    publisher = Publisher("nowhere:1", client_id="test")
    fakes()  # the first one of a test fails
    await publisher.start()
    producer = fakes.made[1]
    keys = [Record("t", f"k{number}".encode(), b"v") for number in range(20)]

    producer.partitions = 4
    await publisher.publish(keys)
    producer.partitions = 8
    await publisher.publish(keys)

    assert producer.places[:20] == producer.places[20:]
    assert set(producer.places) == {0, 1, 2, 3}


async def test_an_error_that_ends_nothing_replaces_nothing(fakes: type[FakeProducer]) -> None:
    fakes.ends = True
    fakes.failure = KafkaError()
    publisher = Publisher("nowhere:1", client_id="test")
    await publisher.start()
    fakes.made[0]._sender.sender_task = SimpleNamespace(done=lambda: False)

    with pytest.raises(Unavailable):
        await publisher.post(Record("t", b"k", b"1"))

    assert publisher.broken is None


@given(at=st.datetimes(timezones=st.just(UTC)))
def test_a_record_says_its_time_as_rfc_3339(at: datetime) -> None:
    occurred_at = round((at - EPOCH) / timedelta(milliseconds=1))
    event = replace(received(Names("toy"), 0, 0), occurred_at=occurred_at)

    said = dict(record_of(event, JsonCodec()).headers)["ce_time"].decode()

    assert said.endswith("Z")
    assert len(said) == len("2024-01-01T00:00:00.000Z")
    assert datetime.fromisoformat(said) == EPOCH + timedelta(milliseconds=occurred_at)


async def speak(publisher: Publisher, topic: str, key: int) -> None:
    """Publish in order, again until each is there, as a lane does."""
    for number in range(RECORDS):
        records = [Record(topic, f"k{key}".encode(), f"{number}.{part}".encode()) for part in "ab"]
        while not await taken(publisher, records):  # noqa: ASYNC110 - nobody tells when it works again
            await asyncio.sleep(0.01)


async def taken(publisher: Publisher, records: list[Record]) -> bool:
    try:
        await publisher.publish(records)
    except Unavailable:
        return False
    return True


async def disturb(publisher: Publisher, topic: str) -> None:
    for number in range(6):
        with pytest.raises((Rejected, Unavailable)):
            await publisher.publish([Record(topic, f"k{number}".encode(), TOO_LARGE)])
        await asyncio.sleep(0.02)


@pytest.mark.integration
async def test_a_record_that_the_broker_refuses_ends_no_partition_and_order_survives_it(
    stack: Stack,
) -> None:
    bootstrap, topic = stack.kafka_bootstrap, f"toy.{uuid4().hex[:8]}.small"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = NewTopic(topic, 4, 1, config={"max.message.bytes": "300000"})
    admin.create_topics([new])[topic].result()
    await until(lambda: topic in admin.list_topics().topics, "the topic")

    async with publishing(bootstrap) as publisher:
        said = [speak(publisher, topic, key) for key in range(KEYS)]
        await asyncio.gather(*said, disturb(publisher, topic))

    heard: dict[bytes, list[bytes]] = defaultdict(list)
    for record in await everything(bootstrap, topic):
        if record.value not in heard[record.key]:
            heard[record.key].append(record.value)
    wanted = [f"{number}.{part}".encode() for number in range(RECORDS) for part in "ab"]
    assert dict(heard) == {f"k{key}".encode(): wanted for key in range(KEYS)}
