from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from aiokafka import TopicPartition as Place
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # untyped

from schemas.changing import replace
from schemas.codec import Codec
from schemas.errors import Misconfigured, Unavailable
from schemas.events import MessageReceived
from schemas.examples import examples
from schemas.topics import CONVERSATION_CHANGED, MESSAGE_RECEIVED
from streams.kafka.publish import Publisher, Record, record_of
from streams.kafka.reading import Reading
from streams.settings import Settings

pytestmark = pytest.mark.integration

CODEC = Codec.offline()
TOPIC = MESSAGE_RECEIVED.name
MESSAGE = next(e.event for e in examples() if isinstance(e.event, MessageReceived))


def message(conversation: str, number: int) -> MessageReceived:
    assert isinstance(MESSAGE, MessageReceived)
    return replace(MESSAGE, conversation_id=conversation, wamid=f"wamid.{number}")


@pytest.fixture
async def publisher(provisioned: Settings) -> AsyncIterator[Publisher]:
    publisher = Publisher(provisioned.kafka_bootstrap, client_id="test")
    await publisher.start()
    yield publisher
    await publisher.stop()


@pytest.fixture
def reading(provisioned: Settings) -> Reading:
    return Reading(provisioned.kafka_bootstrap, CODEC)


async def publish(publisher: Publisher, *records: Record) -> None:
    await asyncio.gather(*[await publisher.post(record) for record in records])


async def test_a_conversation_is_read_in_the_order_of_the_log(
    publisher: Publisher, reading: Reading
) -> None:
    ours, theirs = uuid4().hex, uuid4().hex
    events = [message(ours, number) for number in range(20)]
    records = [record_of(event, CODEC) for event in events]
    strangers = [record_of(message(theirs, number), CODEC) for number in range(20)]
    await publish(publisher, *[r for pair in zip(records, strangers, strict=True) for r in pair])

    found = await reading.read([TOPIC, CONVERSATION_CHANGED.name], key=ours)

    assert [record.event for record in found] == events
    assert len({record.position.partition for record in found}) == 1


async def test_reading_begins_where_it_is_asked_to(publisher: Publisher, reading: Reading) -> None:
    ours = uuid4().hex
    await publish(publisher, record_of(message(ours, 1), CODEC))
    since = await reading.ends([TOPIC])
    await publish(publisher, record_of(message(ours, 2), CODEC))

    found = await reading.read([TOPIC], since=since)

    assert [e.event.wamid for e in found if isinstance(e.event, MessageReceived)] == ["wamid.2"]


async def test_an_unreadable_record_is_named_and_left_out(
    publisher: Publisher, reading: Reading
) -> None:
    ours = uuid4().hex
    good = record_of(message(ours, 1), CODEC)
    await publish(publisher, Record(TOPIC, ours.encode(), b"not avro"), good)

    found = await reading.read([TOPIC], key=ours)

    assert len(found) == 1
    assert [reason for _, reason in reading.unreadable] == ["bad_magic"]


async def test_following_yields_what_comes(publisher: Publisher, reading: Reading) -> None:
    ours = uuid4().hex
    since = await reading.ends([TOPIC])
    followed = reading.follow([TOPIC], since)

    async def first() -> object:
        async for record in followed:
            return record.event
        return None

    waiting = asyncio.create_task(first())
    await publish(publisher, record_of(message(ours, 7), CODEC))

    assert await asyncio.wait_for(waiting, 30) == message(ours, 7)


async def test_a_partition_that_lost_records_tells_the_time_of_the_oldest_left(
    publisher: Publisher, reading: Reading, provisioned: Settings
) -> None:
    # A topic of its own, kept for ever: retention would delete records of such times by itself.
    topic, key = f"cut-{uuid4().hex}", uuid4().hex.encode()
    admin = AdminClient({"bootstrap.servers": provisioned.kafka_bootstrap})
    (made,) = admin.create_topics([NewTopic(topic, 3, 1, config={"retention.ms": "-1"})]).values()
    await asyncio.to_thread(made.result, 30)
    posted = [await publisher.post(Record(topic, key, b"x", (), at)) for at in (1000, 2000, 3000)]
    partition, newest = (await asyncio.gather(*posted))[-1]
    whole = await reading.cut([topic], partition=partition)
    (deleted,) = admin.delete_records([TopicPartition(topic, partition, newest)]).values()
    await asyncio.to_thread(deleted.result, 30)

    place = Place(topic, partition)
    assert whole == {}
    assert await reading.cut([topic], partition=partition) == {place: 3000}
    assert await reading.cut([topic], key=key.decode()) == {place: 3000}

    (deleted,) = admin.delete_records([TopicPartition(topic, partition, newest + 1)]).values()
    await asyncio.to_thread(deleted.result, 30)

    assert await reading.cut([topic], partition=partition) == {place: None}


async def test_a_missing_topic_is_told(reading: Reading) -> None:
    with pytest.raises(Misconfigured, match=r"topic nowhere is missing"):
        await reading.read(["nowhere"])


async def test_without_a_broker_kafka_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await Reading("127.0.0.1:9", CODEC).ends([TOPIC])
