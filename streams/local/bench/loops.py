"""The yardstick of a chain: plain aiokafka loops that write, wait, send on, and wait.

They have no protection: no order between awaited writes, no fencing, no outbox, no skipping of
what was done before. They may do the work of our loop's hops, or none.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.topics import changelog
from streams.kafka.publish import BATCH_BYTES
from streams.local.bench.topics import hop_stage, hop_topic
from streams.local.bench.work import Renamed

STATE: Final = b"." * 4096
POLL_MS: Final = 100
COMMIT_S: Final = 1.0
LOOK_S: Final = 0.05


@contextlib.asynccontextmanager
async def loops(
    bootstrap: str, run: str, hops: Sequence[int], *, working: bool
) -> AsyncIterator[asyncio.Future[Any]]:
    """Run plain hops; yields what ends only when one of them fails.

    Args:
        bootstrap: Kafka.
        run: The run whose topics they read.
        hops: Their numbers.
        working: Whether they decode, decide and encode; else the state is always the same bytes.
    """
    async with contextlib.AsyncExitStack() as opened:
        producer = producing(bootstrap)
        await opened.enter_async_context(producer)
        tasks = []
        for number in hops:
            name = hop_stage(run, number)
            consumer = consuming(bootstrap, hop_topic(run, number), group=name)
            await opened.enter_async_context(consumer)
            while not consumer.assignment():  # noqa: ASYNC110 - the client tells nobody
                await asyncio.sleep(LOOK_S)
            hop = Hop(producer, run, number, working=working)
            tasks.append(asyncio.create_task(hop.relay(consumer)))
        every = asyncio.gather(*tasks)
        try:
            yield every
        finally:
            every.cancel()
            await asyncio.gather(every, return_exceptions=True)


class Hop:
    """One plain hop."""

    def __init__(self, producer: AIOKafkaProducer, run: str, number: int, *, working: bool) -> None:
        self.producer = producer
        self.kept = changelog(hop_stage(run, number))
        self.target = hop_topic(run, number + 1)
        self.work = Renamed(hop_topic(run, number), self.target) if working else None
        self.states: dict[bytes, bytes] = {}

    async def relay(self, consumer: AIOKafkaConsumer) -> None:
        """Relay until cancelled."""
        committed = time.monotonic()
        while True:
            records = await fetched(consumer)
            worked = [self._worked(record) for record in records]
            both = list(zip(records, worked, strict=True))
            send = self.producer.send
            kept = [await send(self.kept, state, r.key, r.partition) for r, (state, _) in both]
            await asyncio.gather(*kept)
            said = [await send(self.target, value, r.key) for r, (_, value) in both]
            await asyncio.gather(*said)
            if records and time.monotonic() - committed > COMMIT_S:
                await consumer.commit()
                committed = time.monotonic()

    def _worked(self, record: Any) -> tuple[bytes, bytes]:
        """Return the new state, and what to send."""
        if self.work is None:
            return STATE, record.value
        state, said = self.work.relayed(self.states.get(record.key), record.value)
        self.states[record.key] = state
        return state, said


def producing(bootstrap: str) -> AIOKafkaProducer:
    """Return a producer that batches as the loop's does."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,  # at the client's own it does half as much
    )


def consuming(bootstrap: str, topic: str, *, group: str | None) -> AIOKafkaConsumer:
    """Return a consumer that gets records as soon as they are there."""
    return AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
    )


async def fetched(consumer: AIOKafkaConsumer) -> list[Any]:
    """Return what came, in order in each partition; nothing after a while."""
    found = await consumer.getmany(timeout_ms=POLL_MS)
    return [record for rows in found.values() for record in rows]
