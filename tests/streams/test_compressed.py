"""Records that somebody compressed as aiokafka cannot read are read all the same, with headers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import UnsupportedCodecError
from confluent_kafka import Producer

from streams.consumer.inloop import InLoopConsumer
from streams.kafka import librdkafka
from streams.kafka.misnamed import Fetches
from streams.sinking import SinkRunner
from streams.tenancy.tenants import TenantSettings

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


@pytest.fixture(params=["snappy", "lz4", "zstd"])
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
    fetches, got = Fetches(consumer, bootstrap), list[Any]()
    async with asyncio.timeout(20):
        while len(got) < 3 * COUNT * len(PLACES):
            for records in (await fetches.getmany(timeout_ms=100)).values():
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


async def failing(*_: object, **__: object) -> Any:
    raise UnsupportedCodecError


async def found(*_: object) -> Any:
    return {PLACES[0]: ["record"]}


async def test_stages_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.consumer.inloop.read_on", found)
    monkeypatch.setattr("faust.transport.drivers.aiokafka.AIOKafkaConsumerThread.getmany", failing)
    consumer: Any = InLoopConsumer.__new__(InLoopConsumer)
    consumer._consumer = object()
    consumer.__dict__["app"] = SimpleNamespace(conf=SimpleNamespace(broker_consumer=[]))

    assert await consumer.getmany(set(), 1.0) == {PLACES[0]: ["record"]}


async def test_sinks_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.sinking.read_on", found)
    runner: Any = SinkRunner.__new__(SinkRunner)
    runner.assignment = 1
    runner.seat = SimpleNamespace(
        fetch=failing,
        partitions=set,
        consumer=None,
        due=None,
        assignments=1,
        settings=SimpleNamespace(kafka_bootstrap=""),
    )
    runner._open = found

    assert await runner._fetch() == {PLACES[0]: ["record"]}


async def test_the_settings_of_tenants_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.tenancy.tenants.read_on", found)
    tenants: Any = TenantSettings.__new__(TenantSettings)
    tenants.bootstrap = ""

    assert await tenants._fetch(SimpleNamespace(getmany=failing), 1) == {PLACES[0]: ["record"]}
