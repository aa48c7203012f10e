"""The yardstick of the pipeline: plain loops with as many acknowledged writes one after another.

From a webhook to the model and from its answer to WhatsApp the pipeline waits for ten writes that
the broker acknowledges. So do five hops of a plain aiokafka loop that write a state of 4 KB, wait,
send on 1 KB, and wait. They have no protection, do no work and speak no HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.local.bench.pace import paced
from streams.local.bench.topics import Topics
from streams.publish import BATCH_BYTES

HOPS: Final = 5
STATE: Final = b"." * 4096
REST: Final = b"." * 1024
KEYS: Final = 500
POLL_MS: Final = 100
COMMIT_S: Final = 1.0
SETTLE_S: Final = 3.0
PATIENCE_S: Final = 60.0
WARM_UP_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Chained:
    """What came through a chain.

    Attributes:
        sent: Records that went in.
        took_ms: How long each took that came out, without those of the first two seconds.
        behind_s: How long after the last one went in the last one came out.
    """

    sent: int
    took_ms: Sequence[int]
    behind_s: float


async def chain(bootstrap: str, rate: float, seconds: float) -> Chained:
    """Send records at this rate through the hops; return how long they took."""
    topics = Topics(bootstrap)
    names = [await topics.make(f"bench.{topics.run}.hop.{n}") for n in range(HOPS + 1)]
    kept = [await topics.make(f"bench.{topics.run}.kept.{n}", compacted=True) for n in range(HOPS)]
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
    )
    await producer.start()
    hops = [_hop(bootstrap, producer, names[n], kept[n], names[n + 1]) for n in range(HOPS)]
    arrived: list[tuple[int, int]] = []
    tasks = [asyncio.create_task(work) for work in (*hops, _last(bootstrap, names[-1], arrived))]
    try:
        await asyncio.sleep(SETTLE_S)  # every group has its partitions
        began = time.monotonic_ns()
        count = await _send(producer, names[0], rate, seconds)
        ended = time.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            while len(arrived) < count and not any(task.done() for task in tasks):  # noqa: ASYNC110 - tasks of many kinds
                await asyncio.sleep(0.05)
        took = [
            (out - sent) // 1_000_000 for sent, out in arrived if sent > began + WARM_UP_S * 1e9
        ]
        return Chained(count, took, time.monotonic() - ended)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await producer.stop()
        topics.remove()


async def _send(producer: AIOKafkaProducer, topic: str, rate: float, seconds: float) -> int:
    count = int(rate * seconds)
    sent = []
    async for number in paced(count, rate):
        value = time.monotonic_ns().to_bytes(8) + REST
        sent.append(await producer.send(topic, value, f"conv_{number % KEYS}".encode()))
    await asyncio.gather(*sent)
    return count


async def _hop(
    bootstrap: str, producer: AIOKafkaProducer, source: str, kept: str, target: str
) -> None:
    async with _consumer(bootstrap, source, group=source) as consumer:
        committed = time.monotonic()
        while True:
            records = await _fetched(consumer)
            states = [await producer.send(kept, STATE, r.key, r.partition) for r in records]
            await asyncio.gather(*states)
            effects = [await producer.send(target, r.value, r.key) for r in records]
            await asyncio.gather(*effects)
            if records and time.monotonic() - committed > COMMIT_S:
                await consumer.commit()
                committed = time.monotonic()


async def _last(bootstrap: str, topic: str, arrived: list[tuple[int, int]]) -> None:
    async with _consumer(bootstrap, topic, group=topic) as consumer:
        while True:
            records = await _fetched(consumer)
            now = time.monotonic_ns()
            arrived += [(int.from_bytes(record.value[:8]), now) for record in records]


def _consumer(bootstrap: str, topic: str, *, group: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
    )


async def _fetched(consumer: AIOKafkaConsumer) -> list[Any]:
    fetched = await consumer.getmany(timeout_ms=POLL_MS)
    return [record for rows in fetched.values() for record in rows]
