"""A real broker seen from a test: topics, what is on them, and a worker process to kill."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as Partition
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, re-exported untyped
    AdminClient,
    NewTopic,
    OffsetSpec,
)
from prometheus_client.parser import text_string_to_metric_families

from schemas.events import Event
from streams.kafka.publish import Publisher, Record, record_of
from streams.settings import environment
from tests.streams.loop.toy import JsonCodec, Names

PARTITIONS = 4
DEADLINE_S = 60.0


def create(bootstrap: str, names: Names, partitions: int = PARTITIONS) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = [name for topic in names.all() for name in (topic.name, topic.dlq)]
    changelogs = [f"whaticket.{stage}.changelog" for stage in (names.talk, names.think)]
    new = [NewTopic(name, partitions, 1) for name in topics]
    new += [
        NewTopic(name, partitions, 1, config={"cleanup.policy": "compact"}) for name in changelogs
    ]
    for future in admin.create_topics(new).values():
        future.result()
    every = [TopicPartition(topic.topic, p) for topic in new for p in range(partitions)]
    end = time.monotonic() + DEADLINE_S
    while not _served(admin, every):
        assert time.monotonic() < end, "the broker does not serve the new topics"


def _served(admin: AdminClient, every: list[TopicPartition]) -> bool:
    """Tell whether every partition has a leader that knows it; asks the broker, so it is slow."""
    if not {tp.topic for tp in every} <= set(admin.list_topics().topics):
        return False
    found = admin.list_offsets({tp: OffsetSpec.latest() for tp in every})  # type: ignore[no-untyped-call]
    return all(future.exception() is None for future in found.values())


async def until(condition: Callable[[], Any], what: str, seconds: float = DEADLINE_S) -> Any:
    """Wait for a condition, with a deadline."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, f"not in time: {what}"
        await asyncio.sleep(0.05)


async def everything(bootstrap: str, topic: str) -> list[Any]:
    """Return all records of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [Partition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
        if not partitions:
            await consumer.topics()
            partitions = [Partition(topic, p) for p in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        records: list[Any] = []
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            batches = await consumer.getmany(timeout_ms=100)
            records += [record for batch in batches.values() for record in batch]
        return records
    finally:
        await consumer.stop()


async def lag(bootstrap: str, group: str, topic: str) -> int:
    """Return how far a group is behind on a topic."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = [Partition(topic, p) for p in range(PARTITIONS)]
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        committed = {tp: await consumer.committed(tp) or 0 for tp in partitions}
        return sum(ends[tp] - committed[tp] for tp in partitions)
    finally:
        await consumer.stop()


@asynccontextmanager
async def publishing(bootstrap: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(bootstrap, client_id="test")
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop()


async def publish(publisher: Publisher, *events: Event) -> None:
    codec = JsonCodec()
    await asyncio.gather(*[await publisher.post(record_of(event, codec)) for event in events])


async def post(publisher: Publisher, record: Record, partition: int | None = None) -> None:
    await (await publisher.post(record, partition))


class Toy:
    """A toy worker process."""

    def __init__(self, log: Path, process: asyncio.subprocess.Process) -> None:
        self.log = log
        self.process = process

    @classmethod
    async def start(
        cls, bootstrap: str, names: Names, log: Path, instance: str, **options: Any
    ) -> Toy:
        root = Path(__file__).parents[3]
        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(root / "tests/streams/loop/toy.py"),
                bootstrap,
                names.run,
                instance,
                json.dumps(options),
                stdout=out,
                stderr=out,
                cwd=root,
                env={**environment(), "PYTHONPATH": str(root)},
            )
        return cls(log, process)

    def lines(self) -> list[dict[str, Any]]:
        found = []
        for line in self.log.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"event": line})
        return [line for line in found if isinstance(line, dict)]

    def port(self) -> int:
        return int(next((e["port"] for e in self.lines() if e["event"] == "health.listening"), 0))

    async def get(self, path: str) -> httpx.Response:
        await until(self.port, "the port of the worker")
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://127.0.0.1:{self.port()}{path}")

    async def metric(self, name: str, **labels: str) -> float:
        """Return a metric, summed over the label values that are not given."""
        text = (await self.get("/metrics")).text
        families = text_string_to_metric_families(text)
        found = [
            float(sample.value)
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(found)

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of this name."""
        return [line for line in self.lines() if line["event"] == event]

    async def ready(self) -> None:
        async def asked() -> bool:
            assert self.process.returncode is None, self.log.read_text()[-3000:]
            return (await self.get("/health/ready")).status_code == 200

        await until(asked, "a ready worker")

    def kill(self) -> None:
        self.process.kill()

    async def stop(self) -> int:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 30)


@asynccontextmanager
async def toys(bootstrap: str, names: Names, folder: Path) -> AsyncIterator[Callable[..., Any]]:
    """Start toy workers; none outlives the test."""
    started: list[Toy] = []

    async def start(instance: str, **options: Any) -> Toy:
        log = folder / f"{len(started)}-{instance}.log"
        toy = await Toy.start(bootstrap, names, log, instance, **options)
        started.append(toy)
        return toy

    try:
        yield start
    finally:
        for toy in started:
            if toy.process.returncode is None:
                toy.kill()
            await toy.process.wait()
