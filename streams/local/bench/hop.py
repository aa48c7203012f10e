"""One hop of the loop, with every protection on, against yardsticks that do the same work.

Every variant reads the same records from a topic of its own and writes one record for each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import changelog
from streams.clock import WallClock
from streams.engine import Engine
from streams.kafka.publish import Publisher, record_of
from streams.local.bench.figure import Figure
from streams.local.bench.topics import PARTITIONS, Topics
from streams.local.bench.work import Renamed, event, stage
from streams.local.bench.yardsticks import Stop, plain, relay, vanilla
from streams.settings import Settings

POLL_S: Final = 0.02
PATIENCE_S: Final = 120.0
VANILLA: Final = "Faust with a table"

Start = Callable[[str, str], Awaitable[Stop]]


class Bench:
    """One run: its topics, its records and the variants there are."""

    def __init__(self, settings: Settings, events: int) -> None:
        self.settings = settings.model_copy(update={"topic_partitions": PARTITIONS})
        self.events = events
        self.topics = Topics(settings.kafka_bootstrap)
        self.run = self.topics.run
        self.variants: dict[str, Start] = {
            "plain relay, no state": partial(relay, settings.kafka_bootstrap),
            "plain aiokafka loop": self._plain,
            VANILLA: self._vanilla,
            "our loop": self._loop,
        }

    async def measure(self, variant: str) -> Figure:
        """Measure the variant of this name."""
        try:
            return await self._variant(variant, self.variants[variant])
        finally:
            self.topics.remove()

    async def _variant(self, name: str, start: Start) -> Figure:
        slug = name.lower().replace(" ", "-").replace(",", "")
        source = await self.topics.make(f"bench.{self.run}.{slug}.in")
        target = await self.topics.make(f"bench.{self.run}.{slug}.out")
        await self._fill(source)
        stop = await start(source, target)
        began, cpu = time.monotonic(), time.process_time()
        try:
            await self._until_relayed(target)
            return Figure(
                variant=name,
                events=self.events,
                seconds=time.monotonic() - began,
                cpu_us=(time.process_time() - cpu) / self.events * 1e6,
            )
        finally:
            await stop()

    async def _fill(self, source: str) -> None:
        publisher = Publisher(self.settings.kafka_bootstrap, client_id="bench", linger_ms=5)
        await publisher.start()
        codec = Renamed(source, source)
        records = (record_of(event(source, n), codec) for n in range(self.events))
        sent = [await publisher.post(record) for record in records]
        await asyncio.gather(*sent)
        await publisher.stop()

    async def _until_relayed(self, target: str) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka_bootstrap)
        await consumer.start()
        partitions = [TopicPartition(target, number) for number in range(PARTITIONS)]
        try:
            async with asyncio.timeout(PATIENCE_S):
                while sum((await consumer.end_offsets(partitions)).values()) < self.events:  # noqa: ASYNC110 - the broker tells nobody
                    await asyncio.sleep(POLL_S)
        finally:
            await consumer.stop()

    async def _plain(self, source: str, target: str) -> Stop:
        kept = await self.topics.make(f"{source}.changelog", compacted=True)
        return await plain(self.settings.kafka_bootstrap, source, target, kept)

    async def _vanilla(self, source: str, target: str) -> Stop:
        await self.topics.make(f"{source}-seen-changelog", compacted=True)
        return await vanilla(self.settings.kafka_bootstrap, source, target, PARTITIONS)

    async def _loop(self, source: str, target: str) -> Stop:
        codec = Renamed(source, target)
        name = f"bench-{self.run}"
        made = stage(name, codec, self.settings.max_inflight)
        await self.topics.make(changelog(name), compacted=True)
        publisher = Publisher(
            self.settings.kafka_bootstrap, client_id=name, linger_ms=self.settings.linger_ms
        )
        await publisher.start()
        engine = Engine(self.settings, [made], codec, publisher, clock=WallClock())
        await engine.check()
        await engine.start()

        async def stop() -> None:
            await engine.stop()
            await publisher.stop()

        return stop
