"""Records go straight into the producer's batches, in order, and are settled with their batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    BrokerResponseError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerClosed,
)

from schemas.errors import Rejected, Unavailable
from streams.kafka import batching
from streams.kafka.batching import QUEUED, Batch, Producer
from streams.kafka.publish import Record
from streams.metrics import EVENTS_PUBLISHED

TOPIC = "toy.batches"
PLACE = TopicPartition(TOPIC, 1)
BATCH_BYTES = 1000
LARGEST = 2000


@pytest.fixture
async def producer() -> AsyncIterator[Producer]:
    made = Producer(
        bootstrap_servers="nowhere:1",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
        max_request_size=LARGEST,
    )
    made.client.cluster._partitions = {TOPIC: {0: None, 1: None}}
    made.client.cluster.leader_for_partition = lambda _: 0
    made._txn_manager.set_pid_and_epoch(7, 0)
    yield made
    made._closed = True  # it was never started


def record(number: int, size: int = 300) -> Record:
    return Record(TOPIC, b"k", b"%d" % number + b"." * size, (("ce_type", b"toy.said"),))


def drained(producer: Producer) -> Batch:
    """Take the next batch as the sender does."""
    nodes, _ = producer._message_accumulator.drain_by_nodes(ignore_nodes=())
    batch: Batch = nodes[0][PLACE]
    batch.get_data_buffer()
    return batch


async def test_nobody_waits_for_a_full_batch_and_order_is_kept(producer: Producer) -> None:
    sent = [producer.put(record(number), 1) for number in range(10)]

    offset = 0
    while PLACE in producer._message_accumulator._batches:
        batch = drained(producer)
        assert batch.record_count < 10
        batch.done(offset, -1, None)
        offset += batch.record_count

    assert await asyncio.gather(*sent) == [(1, number) for number in range(10)]


async def test_a_batch_wakes_what_sends_it(producer: Producer) -> None:
    waiting = producer._message_accumulator.waiter()

    producer.put(record(0), 1)

    assert waiting.done()


async def test_what_the_broker_has_is_counted_by_event(producer: Producer) -> None:
    counter = EVENTS_PUBLISHED.labels(TOPIC, "toy.said")
    before = counter._value.get()
    sent = [producer.put(record(number, 10), 1) for number in range(3)]
    assert counter._value.get() == before

    drained(producer).done(0, -1, None)

    await asyncio.gather(*sent)
    assert counter._value.get() == before + 3


async def test_the_next_request_can_leave_before_all_of_a_batch_were_told(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "SLICE", 2)
    sent = [producer.put(record(number, 10), 1) for number in range(9)]
    batch = drained(producer)
    told: list[int] = []
    woken = producer._message_accumulator.waiter()
    woken.add_done_callback(lambda _: told.append(sum(each.done() for each in sent)))
    sent[0].add_done_callback(lambda _: producer.put(record(0, 10), 0))

    batch.done(0, -1, None)

    assert await asyncio.gather(*sent) == [(1, number) for number in range(9)]
    assert told == [4]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MessageSizeTooLargeError(), Rejected("record_too_large", TOPIC)),
        (KafkaError(), Unavailable("kafka")),
        (BrokerResponseError(), Unavailable("kafka")),
        (ProducerClosed(), Unavailable("kafka")),
    ],
)
async def test_a_batch_that_fails_fails_each_record_and_tells_once(
    producer: Producer, error: Exception, expected: Exception
) -> None:
    told: list[Any] = []
    producer.failed = lambda which, why: told.append((which, why))
    sent = [producer.put(record(number, 10), 1) for number in range(3)]

    drained(producer).failure(error)

    failures = await asyncio.gather(*sent, return_exceptions=True)
    assert [(type(exc), str(exc)) for exc in failures] == [(type(expected), str(expected))] * 3
    assert told == [(producer, error)]


async def test_one_who_waits_no_more_does_not_disturb_the_others(producer: Producer) -> None:
    first, second, third = (producer.put(record(number, 10), 1) for number in range(3))
    second.cancel()

    drained(producer).done(5, -1, None)

    assert (await first, await third) == ((1, 5), (1, 7))


async def test_what_waits_for_a_broker_that_is_away_is_bounded(producer: Producer) -> None:
    number = 0
    while not producer.full(TOPIC, 1):
        producer.put(record(number), 1)
        number += 1
    queued = producer._message_accumulator._batches[PLACE]
    assert len(queued) == QUEUED

    waiting = [asyncio.create_task(producer.room(TOPIC, 1)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)

    drained(producer)

    await asyncio.gather(*waiting)
    assert not producer.full(TOPIC, 1)
    assert not producer.full(TOPIC, 0)


async def test_one_who_waits_for_room_too_long_is_told(producer: Producer) -> None:
    producer._request_timeout_ms = 0
    while not producer.full(TOPIC, 1):
        producer.put(record(0), 1)

    with pytest.raises(KafkaTimeoutError):
        await producer.room(TOPIC, 1)


async def test_one_who_waits_for_room_hears_that_the_producer_ended(producer: Producer) -> None:
    while not producer.full(TOPIC, 1):
        producer.put(record(0), 1)
    waiting = asyncio.create_task(producer.room(TOPIC, 1))
    await asyncio.sleep(0)

    producer._message_accumulator.fail_all(ProducerClosed())

    with pytest.raises(ProducerClosed):
        await waiting


async def test_a_record_over_the_limit_is_refused_and_not_appended(producer: Producer) -> None:
    with pytest.raises(MessageSizeTooLargeError):
        producer.put(record(0, LARGEST), 1)

    assert not producer._message_accumulator._batches


async def test_a_record_over_the_limit_is_refused_behind_others_too(producer: Producer) -> None:
    producer.put(record(0, 10), 1)

    with pytest.raises(MessageSizeTooLargeError):
        producer.put(record(1, LARGEST), 1)

    assert drained(producer).record_count == 1
    assert not producer._message_accumulator._batches[PLACE]


async def test_a_record_larger_than_a_batch_goes_alone(producer: Producer) -> None:
    for number, size in enumerate((10, BATCH_BYTES + 100, 10)):
        producer.put(record(number, size), 1)

    assert [drained(producer).record_count for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("error", [KafkaError(), None], ids=["the sender ended", "it is closed"])
async def test_nothing_is_appended_where_nothing_is_sent(
    producer: Producer, error: Exception | None
) -> None:
    accumulator = producer._message_accumulator
    if error is None:
        accumulator._closed = True
    else:
        accumulator.fail_all(error)

    with pytest.raises(KafkaError):
        producer.put(record(0), 1)

    assert not accumulator._batches


async def test_a_topic_is_known_while_the_cluster_tells_its_partitions(producer: Producer) -> None:
    assert producer.knows(TOPIC)
    assert producer.count(TOPIC) == 2
    assert not producer.knows("toy.other")


async def test_a_record_without_a_key_goes_to_any_partition(producer: Producer) -> None:
    cluster: Any = SimpleNamespace(
        partitions_for_topic=lambda _: {0, 1}, available_partitions_for_topic=lambda _: {1}
    )
    producer._metadata = cluster

    producer.put(Record(TOPIC, None, b"x"), None)

    assert list(producer._message_accumulator._batches) == [PLACE]
