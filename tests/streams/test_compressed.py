"""Records that another client has compressed are read as all others are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer

from streams.kafka import librdkafka

COUNT = 20
TOPIC = "inbox.message.received"
PLACES = [TopicPartition(TOPIC, number) for number in range(3)]
HEADERS: list[tuple[str, Any]] = [("ce_id", b"1"), ("empty", None)]


def produce(producer: Producer, part: int) -> None:
    for place in PLACES:
        for number in range(COUNT):
            producer.produce(
                TOPIC, b"%d.%d" % (part, number), b"key", place.partition, headers=HEADERS
            )
    assert producer.flush(10) == 0


@pytest.fixture(params=["gzip", "snappy", "lz4", "zstd"])
async def bootstrap(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A broker inside this process: plain records, compressed ones, plain ones."""
    many = {"linger.ms": 50}
    broker = librdkafka.producer("-", {"test.mock.num.brokers": 1, **many})
    known = await asyncio.to_thread(broker.list_topics, timeout=10)
    at = ",".join(f"{each.host}:{each.port}" for each in known.brokers.values())
    for part, codec in enumerate(["none", request.param, "none"]):
        writer = librdkafka.producer(at, {"compression.type": codec, **many})
        await asyncio.to_thread(produce, writer, part)
    yield at
    del broker


async def test_they_are_read_whole_and_in_order_with_what_is_around_them(bootstrap: str) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    consumer.assign(PLACES)
    for place in PLACES:
        consumer.seek(place, 0)
    got: list[Any] = []
    async with asyncio.timeout(20):
        while len(got) < 3 * COUNT * len(PLACES):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                got += records
    await consumer.stop()

    for place in PLACES:
        mine = [record for record in got if record.partition == place.partition]
        assert [record.offset for record in mine] == list(range(3 * COUNT))
        assert [record.value for record in mine] == [
            b"%d.%d" % (part, number) for part in range(3) for number in range(COUNT)
        ]
        assert {record.headers for record in mine} == {tuple(HEADERS)}
        assert {record.key for record in mine} == {b"key"}
