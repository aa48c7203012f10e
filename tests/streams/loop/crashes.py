"""One worker after another over one broker and one shelf, each of them killed at some write."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agents.ports import Delivery
from schemas.changing import replace
from schemas.errors import Rejected
from schemas.events import Event, HandoffRequested, MessageReceived
from streams.deadletters.letters import Letter, first_run, newest, waiting
from streams.kafka.publish import Record
from streams.state.parking import Parking
from streams.state.records import Entry
from tests.streams.loop.fakes import (
    IDLE_MS,
    NAMES,
    NOW_MS,
    FakeMessage,
    FakePublisher,
    FakeShelf,
    Rig,
)
from tests.streams.loop.toy import JsonCodec, Tally, Toys, received, step

INBOX, ANSWERED = NAMES.inbox.name, NAMES.answered.name
TOPICS = (INBOX, ANSWERED)
KEY = b"conv_0"
TOYS = Toys(NAMES)


@dataclass
class Broker:
    """The logs, and what of them was committed; outlives every worker."""

    logs: dict[str, list[FakeMessage]] = field(default_factory=lambda: {t: [] for t in TOPICS})
    committed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOPICS, 0))
    written: list[Record] = field(default_factory=list)

    def append(self, topic: str, key: bytes | None, value: bytes | None, headers: Any) -> None:
        log = self.logs[topic]
        log.append(FakeMessage(topic, len(log), key, value, headers=headers))

    def on(self, topic: str) -> list[Record]:
        return [record for record in self.written if record.topic == topic]

    def letters(self) -> list[Letter]:
        found = []
        for topic in TOPICS:
            for offset, record in enumerate(self.on(f"{topic}.dlq")):
                read = FakeMessage(record.topic, offset, record.key, record.value)
                read.headers = record.headers
                found.append(Letter.of(read))
        return newest(found)


class Dying(FakePublisher):
    """Writes to the broker; dies at a write, just before or just after it."""

    def __init__(self, broker: Broker) -> None:
        super().__init__()
        self.broker = broker
        self.dies_in: int | None = None
        self.after = False

    async def post(
        self, record: Record, partition: int | None = None
    ) -> asyncio.Future[tuple[int, int]]:
        dies = self.dies_in == 0
        if self.dies_in is not None:
            self.dies_in -= 1
        if not dies or self.after:
            self.broker.written.append(record)
        if dies:
            raise asyncio.CancelledError
        return await super().post(record, partition)


class World:
    """One worker after another, over one broker and one shelf."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.shelf = FakeShelf()
        self.now_ms = NOW_MS
        self.sent: list[str] = []
        self.bad: set[str] = set()
        self.start()

    def start(self) -> None:
        """A new worker: its table is what the changelog says."""
        self.rig = Rig(self.agent, parks=True, shelf=self.shelf)
        self.rig.clock.ms = self.now_ms
        self.publisher = self.rig.publisher = Dying(self.broker)
        self.rig.loop.publisher = self.publisher
        self.rig.resting.publisher = self.publisher
        self.rig.table.apply([(r.key, r.value, 0) for r in self.broker.on("changelog")])
        self.next = dict(self.broker.committed)
        for topic, end in self.next.items():
            self.rig.app.consumer.done |= {(topic, offset) for offset in range(end)}

    async def agent(
        self, state: Tally | None, event: Event, delivery: Delivery
    ) -> tuple[Tally, tuple[Event, ...]]:
        assert isinstance(event, MessageReceived)
        if event.wamid in self.bad:
            raise Rejected("no_good")
        return TOYS._ask(step(state, event, event.wamid), event, delivery)

    def send(self, topic: str, *, bad: bool) -> None:
        event = replace(received(NAMES, 0, len(self.sent)), event=topic)
        self.sent.append(event.wamid)
        if bad:
            self.bad.add(event.wamid)
        self.broker.append(topic, KEY, JsonCodec().encode(event), ())

    async def consume(self, topic: str, dies_in: int | None, *, after: bool) -> None:
        """Handle the next record; a worker that dies is replaced."""
        if self.next[topic] >= len(self.broker.logs[topic]):
            return
        self.publisher.dies_in, self.publisher.after = dies_in, after
        message = replace(self.broker.logs[topic][self.next[topic]])
        assert self.rig.lanes.take(message)
        tasks = [lane.task for lane in self.rig.lanes.lanes.values() if lane.task]
        if tasks:
            await asyncio.wait(tasks)
        self.publisher.dies_in = None
        if message in self.rig.app.consumer.settled:
            self.next[topic] += 1
        else:
            self.start()

    async def rest(self, dies_in: int | None, *, after: bool) -> None:
        """Let what is idle leave memory; a worker that dies of it is replaced."""
        self.now_ms = self.rig.clock.ms = self.now_ms + 2 * IDLE_MS
        self.publisher.dies_in, self.publisher.after = dies_in, after
        try:
            await self.rig.resting.sweep()
        except asyncio.CancelledError:
            self.start()
        self.publisher.dies_in = None

    def commit(self) -> None:
        self.broker.committed = dict(self.next)

    async def entry(self) -> Entry | None:
        raw = await self.rig.resting.value(KEY, 0)
        return Entry.loads(raw) if raw is not None else None

    async def flag(self) -> Parking | None:
        entry = await self.entry()
        return entry.parked if entry is not None else None

    async def redrive(self, count: int, *, from_first: bool) -> None:
        """Write a run of letters back, perhaps with some that were decided before."""
        flag = await self.flag()
        if flag is None:
            return
        asked = msgspec.structs.replace(flag, next=1) if from_first else flag
        for letter in first_run(waiting(self.broker.letters(), asked), asked)[:count]:
            back = letter.back()
            self.broker.append(back.topic, back.key, back.value, back.headers)

    async def to_the_end(self) -> None:
        """The bug is mended; consume and redrive until nothing is left."""
        self.bad.clear()
        for _ in range(10 * len(self.sent) + 10):
            for topic in TOPICS:
                while self.next[topic] < len(self.broker.logs[topic]):
                    await self.consume(topic, None, after=False)
            if await self.flag() is None:
                return
            await self.redrive(99, from_first=False)
        raise AssertionError("the parking never ends")

    async def decided(self) -> list[str]:
        entry = await self.entry()
        if entry is None:
            return []
        seen = msgspec.json.decode(entry.state or b"null", type=Tally | None)
        return list(seen.seen) if seen else []

    def asked(self) -> list[str]:
        """What was asked for, by event id: a repetition is the same record."""
        found: dict[str, str] = {}
        for record in self.broker.on(NAMES.asked.name):
            event = JsonCodec().decode(record.value)
            assert isinstance(event, HandoffRequested)
            assert found.setdefault(event.event_id, event.turn_id) == event.turn_id
        return list(found.values())
