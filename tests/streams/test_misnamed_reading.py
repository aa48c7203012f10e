"""Whoever reads whole topics reads past a record that aiokafka cannot read, and loses nothing."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # untyped

from schemas.changing import replace
from schemas.codec import Codec
from schemas.events import MessageReceived
from schemas.examples import examples
from schemas.topics import MESSAGE_RECEIVED
from streams.consumer.vouching import disproved
from streams.kafka.publish import Publisher, Record
from streams.kafka.reading import Reading
from streams.kafka.tailing import Tail
from streams.settings import Settings
from streams.state.proof import Proof
from streams.state.records import checksum_of
from tests.streams.misnamed import write

pytestmark = pytest.mark.integration

PARTITIONS = 8
ODD = 5
"""The partition of the record; what came of the others in the same call is lost with it."""
EACH = 40
MESSAGE = next(e.event for e in examples() if isinstance(e.event, MessageReceived))


class Log:
    """A topic of its own: good records, a misnamed one on one partition, good ones."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.topic = f"misnamed-{uuid4().hex}"
        self.codec = Codec.offline()
        self.codec.extend(self.topic, MESSAGE_RECEIVED.name)
        self.texts: list[str] = []

    def value(self, text: str) -> bytes:
        """Return a good value; its text tells it from the others."""
        self.texts.append(text)
        return self.codec.encode(replace(MESSAGE, event=self.topic, text=text))

    async def fill(self) -> None:
        """Write it."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        (made,) = admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)]).values()
        await asyncio.to_thread(made.result, 30)
        publisher = Publisher(self.bootstrap, client_id="test")
        await publisher.start()
        for part in range(2):
            for partition in range(PARTITIONS):
                names = [f"{part}.{partition}.{number}" for number in range(EACH)]
                records = [Record(self.topic, b"k", self.value(name)) for name in names]
                await asyncio.gather(*[await publisher.post(r, partition) for r in records])
                if (part, partition) == (0, ODD):
                    odd = [self.value("misnamed")]
                    await write(self.bootstrap, self.topic, ODD, b"k", odd, 1)
        await publisher.stop()


@pytest.fixture
async def log(provisioned: Settings) -> Log:
    made = Log(provisioned.kafka_bootstrap)
    await made.fill()
    return made


async def test_a_topic_is_read_whole_and_what_cannot_be_read_has_no_headers(log: Log) -> None:
    reading = Reading(log.bootstrap, log.codec)

    found: list[Any] = [row async for row in reading.records([log.topic])]

    assert sorted(event.text for _, event in found) == sorted(log.texts)
    assert [row.headers for row, event in found if event.text == "misnamed"] == [()]
    for partition in range(PARTITIONS):
        offsets = [row.offset for row, _ in found if row.partition == partition]
        assert offsets == list(range(2 * EACH + (partition == ODD)))


async def test_a_partition_is_tailed_whole(log: Log) -> None:
    async with Tail(log.bootstrap, client_id="test") as tail:
        await tail.follow([(log.topic, partition) for partition in range(PARTITIONS)])
        found = [log.codec.decode(row.value) async for row in tail.catch_up()]

    texts = [event.text for event in found if isinstance(event, MessageReceived)]
    assert sorted(map(str, texts)) == sorted(log.texts)


async def test_a_log_is_proved_by_a_record_that_cannot_be_read(log: Log) -> None:
    def proofs(mark: bytes) -> dict[TopicPartition, Proof]:
        place = TopicPartition(log.topic, ODD)
        return {place: Proof(EACH, checksum_of(mark))}

    odd = log.value("misnamed")

    assert await disproved(log.bootstrap, proofs(odd)) == set()
    assert await disproved(log.bootstrap, proofs(b"another")) == {TopicPartition(log.topic, ODD)}
