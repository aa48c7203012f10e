from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v4, FetchRequest_v11

from streams.consumer.fetching import LAST_EPOCH, Fetch, FetchSessions, Session, keep_sessions
from streams.local.stack import Stack

PARTITIONS = 12
NODE = 1


def fetch(**offsets: int) -> FetchRequest:
    """A fetch of partitions of one topic, such as p0=17."""
    rows = [(int(name[1:]), offset, 1024) for name, offset in offsets.items()]
    return FetchRequest(20, 1, 4096, 0, [("t", rows)] if rows else [])


def told(built: Any) -> tuple[int, int, dict[int, int], list[int]]:
    """Session, epoch, offsets that are told, partitions that are forgotten."""
    added = {row[0]: row[2] for _, rows in built.topics for row in rows}
    forgotten = sorted(number for _, rows in built.forgotten_topics_data for number in rows)
    return built.session_id, built.session_epoch, added, forgotten


class Broker:
    """Answers fetches as a broker's session cache does; may refuse or break some."""

    cluster = None

    def __init__(self) -> None:
        self.sent: list[tuple[int, int, dict[int, int], list[int]]] = []
        self.answers: list[Any] = []
        self.topics: list[Any] = []

    async def send(self, node_id: int, request: Any, **_: Any) -> Any:
        assert node_id == NODE
        self.sent.append(told(request.build(FetchRequest_v11)))
        answer = self.answers.pop(0) if self.answers else (0, 7)
        if isinstance(answer, BaseException):
            raise answer
        return SimpleNamespace(error_code=answer[0], session_id=answer[1], topics=self.topics)


async def test_a_session_tells_only_what_changed() -> None:
    broker = Broker()
    client = FetchSessions(broker)

    await client.send(NODE, fetch(p0=1, p1=5, p2=9))
    await client.send(NODE, fetch(p0=1, p1=6, p2=9))
    await client.send(NODE, fetch(p0=1, p2=9, p3=0))
    await client.send(NODE, fetch(p0=1, p2=9, p3=0))

    assert broker.sent == [
        (0, 0, {0: 1, 1: 5, 2: 9}, []),
        (7, 1, {1: 6}, []),
        (7, 2, {3: 0}, [1]),
        (7, 3, {}, []),
    ]


@pytest.mark.parametrize("error_code", [70, 71])  # id not found, wrong epoch
async def test_a_session_that_the_broker_forgot_begins_anew(error_code: int) -> None:
    broker = Broker()
    broker.answers = [(0, 7), (error_code, 0), (0, 8)]
    client = FetchSessions(broker)

    await client.send(NODE, fetch(p0=1, p1=5))
    await client.send(NODE, fetch(p0=2, p1=5))
    await client.send(NODE, fetch(p0=2, p1=6))

    assert broker.sent == [
        (0, 0, {0: 1, 1: 5}, []),
        (7, 1, {0: 2}, []),
        (0, 0, {0: 2, 1: 5}, []),
        (8, 1, {1: 6}, []),
    ]


@pytest.mark.parametrize("fault", [ConnectionError(), asyncio.CancelledError()])
async def test_after_a_fetch_of_unknown_end_everything_is_told_again(fault: BaseException) -> None:
    broker = Broker()
    broker.answers = [(0, 7), fault, (0, 8)]
    client = FetchSessions(broker)

    await client.send(NODE, fetch(p0=1, p1=5))
    with pytest.raises(type(fault)):
        await client.send(NODE, fetch(p0=2, p1=5))
    await client.send(NODE, fetch(p0=2, p1=5))

    assert broker.sent[-1] == (7, 0, {0: 2, 1: 5}, [])


async def test_a_broker_without_room_for_a_session_gets_everything_each_time() -> None:
    broker = Broker()
    broker.answers = [(0, 0), (0, 0)]
    client = FetchSessions(broker)

    await client.send(NODE, fetch(p0=1))
    await client.send(NODE, fetch(p0=1))

    assert broker.sent == [(0, 0, {0: 1}, []), (0, 0, {0: 1}, [])]


def test_a_broker_that_knows_no_sessions_gets_everything() -> None:
    session = Session()
    session.session_id, session.epoch, session.known = 7, 3, {("t", 0): (1, 1024)}

    built = session.next(Fetch.of(fetch(p0=1, p1=2))).build(FetchRequest_v4)

    assert built.topics == [("t", [(0, 1, 1024), (1, 2, 1024)])]


def test_the_epoch_after_the_last_is_one() -> None:
    session = Session()
    session.session_id, session.epoch = 7, LAST_EPOCH

    session.answered(SimpleNamespace(error_code=0, session_id=7))

    assert session.epoch == 1


async def test_other_requests_pass() -> None:
    class Client:
        cluster = "cluster"

        async def send(self, node_id: int, request: object) -> tuple[int, object]:
            return node_id, request

    client = FetchSessions(Client())

    assert await client.send(3, "metadata") == (3, "metadata")
    assert client.cluster == "cluster"


async def test_once_answered_a_fetch_names_the_partitions_of_the_answer_alone() -> None:
    broker = Broker()
    broker.topics = [("t", [(1, 0, 6, None, b"")])]

    whole = Fetch.of(fetch(p0=1, p1=5, p2=9))
    await FetchSessions(broker).send(NODE, whole)

    assert whole.topics == [("t", [(1, 5, 1024)])]


@pytest_asyncio.fixture
async def topic(stack: Stack) -> AsyncIterator[str]:
    name = f"fetching-{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    yield name
    await admin.delete_topics([name])
    await admin.close()


@pytest_asyncio.fixture
async def consumer(stack: Stack, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of all partitions that keeps sessions."""
    reader = AIOKafkaConsumer(
        bootstrap_servers=stack.kafka_bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=20
    )
    await reader.start()
    keep_sessions(reader)
    reader.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
    yield reader
    await reader.stop()


async def write(stack: Stack, topic: str, partitions: Iterable[int]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap)
    await producer.start()
    for number in partitions:
        await producer.send_and_wait(topic, b"record", partition=number)
    await producer.stop()


async def read(consumer: AIOKafkaConsumer, count: int) -> dict[int, list[int]]:
    """Read so many records; return their offsets by partition."""
    found: dict[int, list[int]] = defaultdict(list)
    async with asyncio.timeout(60):
        while sum(map(len, found.values())) < count:
            for tp, records in (await consumer.getmany(timeout_ms=100)).items():
                found[tp.partition] += [record.offset for record in records]
    return found


@pytest.mark.integration
async def test_every_record_of_a_real_broker_comes_once_and_in_order(
    stack: Stack, topic: str, consumer: AIOKafkaConsumer
) -> None:
    """Through a seek, a pause, and a session that the broker has thrown away."""
    await write(stack, topic, [*range(PARTITIONS)] * 5)
    first = await read(consumer, 5 * PARTITIONS)
    (session,) = consumer._fetcher._client._sessions.values()
    kept = session.session_id

    consumer.seek(TopicPartition(topic, 3), 2)
    again = await read(consumer, 3)
    consumer.pause(TopicPartition(topic, 5))
    await write(stack, topic, [*range(PARTITIONS)] * 2)
    beside = await read(consumer, 2 * (PARTITIONS - 1))
    same = session.session_id

    session.session_id = 12345  # as after a restart of the broker
    await write(stack, topic, [0])
    third = await read(consumer, 1)
    consumer.resume(TopicPartition(topic, 5))
    resumed = await read(consumer, 2)

    assert first == {number: [0, 1, 2, 3, 4] for number in range(PARTITIONS)}
    assert again == {3: [2, 3, 4]}
    assert beside == {number: [5, 6] for number in range(PARTITIONS) if number != 5}
    assert (third, resumed) == ({0: [7]}, {5: [5, 6]})
    assert kept == same != 0
    assert session.session_id not in (0, kept, 12345)
