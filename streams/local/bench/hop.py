"""One hop of the loop against two yardsticks: a plain relay, and Faust with a table as it comes.

Every variant reads the same records from a topic of its own and writes one record for each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import uuid4

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, re-exported untyped
    AdminClient,
    NewTopic,
    OffsetSpec,
)

from agents.ports import Delivery
from schemas.codec import Codec
from schemas.events import Event, MessageKind, MessageReceived, Person
from schemas.ids import derived, trace
from schemas.topics import MESSAGE_RECEIVED, Topic, changelog
from streams.clock import WallClock
from streams.engine import Engine
from streams.publish import Publisher, record_of
from streams.settings import Settings, home
from streams.stage import Stage

PARTITIONS: Final = 4
KEYS: Final = 500
BATCH: Final = 500
POLL_S: Final = 0.02
PATIENCE_S: Final = 120.0
_LATEST: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call] # the library has no types


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one variant did.

    Attributes:
        variant: Its name.
        events: How many records it relayed.
        seconds: From its start, tables recovered, to its last output.
        cpu_us: CPU time of this process for each event, in microseconds.
    """

    variant: str
    events: int
    seconds: float
    cpu_us: float

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.events / self.seconds


@dataclass(frozen=True)
class Seen:
    """State of the stage that is measured."""

    tenant_id: str
    conversation_id: str
    customer_id: str
    seq: int = 0
    timers: dict[str, int] = field(default_factory=dict)


class Renamed:
    """Our codec for a topic that is none of the pipeline's."""

    def __init__(self, source: str, target: str) -> None:
        self.codec = Codec.offline()
        self.source = source
        self.target = target

    def encode(self, event: Event) -> bytes:
        """Encode as the record of the real topic."""
        return self.codec.encode(replace(event, event=MESSAGE_RECEIVED.name))

    def decode(self, raw: bytes | None) -> Event:
        """Decode; say that it belongs to the measured topic."""
        return replace(self.codec.decode(raw), event=self.source)

    async def learn(self, schema_id: int) -> None:
        """Learn nothing: every schema is known."""
        await self.codec.learn(schema_id)

    async def agent(
        self, state: Seen | None, event: Event, delivery: Delivery
    ) -> tuple[Seen, tuple[Event, ...]]:
        """Count the event and pass it on."""
        before = state or Seen(event.tenant_id, event.conversation_id, event.customer_id)
        said = replace(
            event,
            event=self.target,
            event_id=derived(event.event_id, "bench"),
            occurred_at=delivery.now_ms,
        )
        return replace(before, seq=before.seq + 1), (said,)


class Bench:
    """One run: its topics, its records and its variants."""

    def __init__(self, settings: Settings, events: int) -> None:
        self.settings = settings
        self.events = events
        self.run = uuid4().hex[:8]
        self.admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
        self.made: list[str] = []

    async def measure(self) -> list[Figure]:
        """Measure every variant, one after another."""
        try:
            return [
                await self._variant("plain relay", self._relay),
                await self._variant("faust with a table", self._faust),
                await self._variant("our loop", self._loop),
            ]
        finally:
            if self.made:
                self.admin.delete_topics(self.made)

    async def _topic(self, name: str, **config: str) -> str:
        """Create a topic and wait until its leaders know it."""
        new = NewTopic(name, PARTITIONS, 1, config=config)
        self.admin.create_topics([new])[name].result()
        self.made.append(name)
        async with asyncio.timeout(PATIENCE_S):
            while not self._led(name):  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(POLL_S)
        return name

    def _led(self, name: str) -> bool:
        """Tell whether the leaders serve a topic.

        The metadata is asked for first: a client that once heard of no leader goes on believing
        it for long.
        """
        told = self.admin.list_topics(name).topics[name].partitions.values()
        if len(told) < PARTITIONS or any(partition.leader < 0 for partition in told):
            return False
        wanted = {Partition(name, number): _LATEST for number in range(PARTITIONS)}
        return not any(end.exception() for end in self.admin.list_offsets(wanted).values())

    async def _variant(
        self, name: str, start: Callable[[str, str], Awaitable[Callable[[], Awaitable[None]]]]
    ) -> Figure:
        slug = name.replace(" ", "-")
        source = await self._topic(f"bench.{self.run}.{slug}.in")
        target = await self._topic(f"bench.{self.run}.{slug}.out")
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
        records = (record_of(_event(source, n), codec) for n in range(self.events))
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

    async def _relay(self, source: str, target: str) -> Callable[[], Awaitable[None]]:
        bootstrap = self.settings.kafka_bootstrap
        consumer = AIOKafkaConsumer(
            source,
            bootstrap_servers=bootstrap,
            group_id=source,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", enable_idempotence=True
        )
        await consumer.start()
        await producer.start()

        async def run() -> None:
            while True:
                fetched = await consumer.getmany(timeout_ms=100, max_records=BATCH)
                records = [record for rows in fetched.values() for record in rows]
                sent = [await producer.send(target, r.value, r.key) for r in records]
                await asyncio.gather(*sent)
                if records:
                    await consumer.commit()

        task = asyncio.create_task(run())

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await consumer.stop()
            await producer.stop()

        return stop

    async def _faust(self, source: str, target: str) -> Callable[[], Awaitable[None]]:
        app = faust.App(
            source,
            broker=[f"kafka://{server}" for server in self.settings.kafka_bootstrap.split(",")],
            store="memory://",
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            stream_wait_empty=False,
            table_standby_replicas=0,
            datadir=home() / "bench",
        )
        await self._topic(f"{source}-seen-changelog", **{"cleanup.policy": "compact"})
        seen: Any = app.Table("seen", default=int, partitions=PARTITIONS)
        inlet = app.topic(source, key_serializer="raw", value_serializer="raw")
        outlet = app.topic(target, key_serializer="raw", value_serializer="raw")

        async def relay(stream: Any) -> None:
            async for key, value in stream.items():
                seen[key.decode()] += 1
                await outlet.send(key=key, value=value)

        app.agent(inlet, name=f"{source}.relay")(relay)
        await app.start()
        return app.stop

    async def _loop(self, source: str, target: str) -> Callable[[], Awaitable[None]]:
        codec = Renamed(source, target)
        name = f"bench-{self.run}"
        await self._topic(changelog(name), **{"cleanup.policy": "compact"})
        stage = Stage(
            name=name,
            inputs=(Topic(name=source, record=MessageReceived, doc="", writers=(), readers=()),),
            state=Seen,
            agent=codec.agent,
            max_inflight=self.settings.max_inflight,
        )
        publisher = Publisher(
            self.settings.kafka_bootstrap, client_id=name, linger_ms=self.settings.linger_ms
        )
        await publisher.start()
        engine = Engine(self.settings, [stage], codec, publisher, clock=WallClock())
        await engine.check()
        await engine.start()

        async def stop() -> None:
            await engine.stop()
            await publisher.stop()

        return stop


def _event(topic: str, number: int) -> MessageReceived:
    wamid = f"wamid.bench.{number}"
    now_ms = WallClock().now_ms()
    return MessageReceived(
        event=topic,
        event_id=derived("message", wamid),
        trace_id=trace("message", wamid),
        tenant_id="bench",
        conversation_id=f"conv_{number % KEYS}",
        customer_id=f"cust_{number % KEYS}",
        idempotency_key=wamid,
        occurred_at=now_ms,
        phone_number_id="1",
        wamid=wamid,
        kind=MessageKind.TEXT,
        text="x" * 64,
        sender=Person(wa_id="0"),
        sent_at=now_ms,
    )
