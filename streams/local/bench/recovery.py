"""Recovery of a table: how long a new worker reads before it serves, beside a bare reader."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.partitioner import murmur2
from confluent_kafka import TopicPartition

from schemas.events import MessageReceived
from schemas.topics import Topic, changelog
from streams.clock import WallClock
from streams.engine import Engine
from streams.kafka import librdkafka
from streams.kafka.partitioner import partition_of
from streams.kafka.publish import Publisher
from streams.local.bench.memory import resident_bytes
from streams.local.bench.topics import PARTITIONS, Topics
from streams.local.bench.work import Renamed, Seen
from streams.processor.stage import Stage
from streams.settings import Settings
from streams.state.records import Entry

BATCH: Final = 10_000
FLUSH_EVERY: Final = 20_000
PATIENCE_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """How long one way of reading a table took.

    Attributes:
        way: Its name.
        keys: How many conversations the table holds.
        value_bytes: Size of each of them in the changelog.
        seconds: From the start to the last one; for a worker, until it serves.
        cpu_s: CPU time of this process for it.
        more_mb: By how much the process grew; of the first way only it means something.
    """

    way: str
    keys: int
    value_bytes: int
    seconds: float
    cpu_s: float
    more_mb: float


class _Meter:
    """What this process had used when something began."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.cpu_s = time.process_time()
        self.resident_bytes = resident_bytes()

    def seconds(self) -> float:
        """Return how long ago that was."""
        return time.monotonic() - self.began


class RecoveryBench:
    """A changelog of a given size, read by a bare reader and by a worker."""

    def __init__(self, settings: Settings, keys: int, value_bytes: int) -> None:
        self.settings = settings.model_copy(update={"topic_partitions": PARTITIONS})
        self.topics = Topics(settings.kafka_bootstrap)
        self.keys = keys
        self.value_bytes = value_bytes

    async def recover(self) -> list[Recovered]:
        """Fill a changelog, then read it both ways."""
        name = f"bench-{self.topics.run}"
        try:
            source = await self.topics.make(f"bench.{self.topics.run}.in")
            kept = await self.topics.make(changelog(name), compacted=True)
            await asyncio.to_thread(self._write, source, kept)
            # The worker first: what comes second grows in memory that was freed before it.
            return [
                await self._worker(name, source),
                await asyncio.to_thread(self._bare, kept),
            ]
        finally:
            self.topics.remove()

    def _write(self, source: str, kept: str) -> None:
        producer = librdkafka.producer(self.settings.kafka_bootstrap, {"linger.ms": 20})
        empty = Entry(b"", {source: -1}, (source, -1), epoch=1)
        room = self.value_bytes - len(empty.dumps()) - len(str(self.value_bytes))
        value = Entry(b"." * max(room, 1), {source: -1}, (source, -1), epoch=1).dumps()
        for number in range(self.keys):
            key = f"conv_{number:027d}".encode()
            producer.produce(kept, value, key, partition_of(murmur2(key), PARTITIONS))
            if not number % FLUSH_EVERY:
                producer.flush()
        producer.flush()

    def _bare(self, kept: str) -> Recovered:
        consumer = librdkafka.consumer(
            self.settings.kafka_bootstrap,
            f"{kept}.bare",
            {
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.message.max.bytes": 4 << 20,
            },
        )
        began = _Meter()
        consumer.assign([TopicPartition(kept, number, 0) for number in range(PARTITIONS)])
        found: dict[Any, Any] = {}
        while len(found) < self.keys:
            if began.seconds() > PATIENCE_S:
                raise TimeoutError(kept)
            for message in consumer.consume(BATCH, 0.1):
                found[message.key()] = message.value()
        figure = self._figure("bare reader into a dict", began)
        consumer.close()
        return figure

    async def _worker(self, name: str, source: str) -> Recovered:
        topic = Topic(name=source, record=MessageReceived, doc="", writers=(), readers=())
        codec = Renamed(source, source)
        stage = Stage(name=name, inputs=(topic,), state=Seen, agent=codec.agent)
        publisher = Publisher(self.settings.kafka_bootstrap, client_id=name)
        await publisher.start()
        engine = Engine(self.settings, [stage], codec, publisher, clock=WallClock(), group=name)
        await engine.check()
        began = _Meter()
        await engine.start()
        async with asyncio.timeout(PATIENCE_S):
            while not engine.app.serving:  # noqa: ASYNC110 - it is a plain flag
                await asyncio.sleep(0.01)
        figure = self._figure("a worker, until it serves", began)
        known = engine.running[name].table.size()
        await engine.stop(leave=True)
        await publisher.stop()
        if known != self.keys:
            raise AssertionError(f"recovered {known} of {self.keys} conversations")
        return figure

    def _figure(self, way: str, began: _Meter) -> Recovered:
        return Recovered(
            way=way,
            keys=self.keys,
            value_bytes=self.value_bytes,
            seconds=began.seconds(),
            cpu_s=time.process_time() - began.cpu_s,
            more_mb=(resident_bytes() - began.resident_bytes) / 1e6,
        )
