from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined] # untyped

from streams.groups import Groups, Lag
from streams.local.stack import Stack

pytestmark = pytest.mark.integration


async def test_a_group_is_as_far_behind_as_records_came_after_its_offsets(stack: Stack) -> None:
    groups = Groups(stack.kafka_bootstrap)
    topic, group = f"read-{uuid4().hex[:8]}", f"whaticket.reader-{uuid4().hex[:8]}"
    (made,) = groups.admin.create_topics([NewTopic(topic, 3, 1)]).values()
    made.result()
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all")
    await producer.start()
    for partition in (0, 0, 0, 1):
        await producer.send_and_wait(topic, b"record", partition=partition)
    await producer.stop()

    at = [TopicPartition(topic, 0, 1), TopicPartition(topic, 1, 1)]
    await asyncio.to_thread(groups.commit, group, at)
    lags = await asyncio.to_thread(groups.lags)

    assert [lag for lag in lags if lag.group == group] == [
        Lag(group=group, topic=topic, committed=2, lag=2)
    ]
    groups.delete([group])
    assert group not in groups.names()
