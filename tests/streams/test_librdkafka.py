from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.kafka import librdkafka

NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize(
    "made",
    [
        librdkafka.admin,
        lambda bootstrap: librdkafka.consumer(bootstrap, "nobody"),
        librdkafka.producer,
    ],
)
def test_a_client_that_finds_nobody_writes_nothing_past_our_log(
    made: Callable[[str], Any], capfd: pytest.CaptureFixture[str]
) -> None:
    client = made(NOBODY)

    with pytest.raises(KafkaException):
        client.list_topics(timeout=1.0)

    assert capfd.readouterr() == ("", "")


async def spoil(bootstrap: str, topic: str) -> None:
    """Write a batch that has another bit than its checksum says."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 16)
    builder.append(0, 1, b"key", b"what was written", [])
    raw = bytearray(builder.build())
    raw[-3] ^= 1
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as writer:
        batch = writer.create_batch()
        batch._relative_offset, batch._buffer = 1, bytes(raw)
        batch.close()
        await (await writer.send_batch(batch, topic, partition=0))


async def test_a_record_whose_bytes_have_changed_since_is_not_taken_for_good() -> None:
    """Tables are read so: a state with another bit would be believed, and written on."""
    broker = librdkafka.producer(NOBODY, {"test.mock.num.brokers": 1})  # one inside this process
    (node,) = broker.list_topics(timeout=10).brokers.values()
    bootstrap = f"{node.host}:{node.port}"
    broker.produce("changelog", b"good", b"key", partition=0)
    assert broker.flush(10) == 0
    await spoil(bootstrap, "changelog")

    reader = librdkafka.consumer(bootstrap, "nobody", {"auto.offset.reset": "earliest"})
    reader.assign([TopicPartition("changelog", 0, 0)])
    first, second = reader.poll(10), reader.poll(10)
    reader.close()

    assert first is not None
    assert second is not None
    assert first.value() == b"good"
    error = second.error()
    assert error is not None
    assert error.code() == KafkaError._BAD_MSG
    assert second.offset() == 1
