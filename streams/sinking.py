"""Sinks: batches of records from the log to a store, in a consumer group of their own.

Offsets are committed after the store has the batch; a batch written again changes nothing.
A sink has no table, so it is a plain consumer: it shares nothing with the stages' app, and a
store that is down holds back only its own group.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from agents.ports import Clock
from schemas.errors import PipelineError, Rejected, Unavailable
from schemas.events import Event, Position
from schemas.topics import Topic
from sinks.ports import Recorded, Sink
from streams.clock import open_clock
from streams.consumer.ordering import in_order
from streams.consumer.seat import Lost, Seat
from streams.deadletters.dlq import Original, Verdict, dead_letter
from streams.deadletters.fuse import Fuse
from streams.kafka.connections import mend
from streams.kafka.misnamed import BROKEN, read_on
from streams.kafka.publish import Publisher
from streams.logs import place
from streams.metrics import DEAD_LETTERS, EVENTS_CONSUMED, PARKED, SINK_RECORDS, SINK_SECONDS
from streams.settings import Settings
from streams.state.proof import OtherLog
from streams.watch.broken import BrokenBatches
from streams.watch.health import Dependencies

log = structlog.get_logger(__name__)

T = TypeVar("T")

BATCH: Final = 500
GATHER_S: Final = 0.25
"""As it is, unless a sink asks for more: a batch costs the same dozen statements whether it holds
one record or a hundred. What comes after a quiet moment is written at once; people at a console do
not see a quarter of a second."""
TRIES: Final = 3
BUG: Final = "bug"
CALL_LIMIT_S: Final = 120.0
"""A batch is up to fourteen statements of at most 15 s each; so slow are never all of them."""
WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0


class Reader(Protocol):
    """Turns bytes into events (``schemas.codec.Codec``)."""

    async def read(self, raw: bytes | None, /) -> Event:
        """Return the event, learning its schema if it is new."""


class SinkRunner:
    """Feeds one sink.

    Attributes:
        name: The group's last word, for logs and metrics.
        dependencies: Which stores batches wait for.
        gather_s: How far apart two batches begin when the first was not full.
        call_limit_s: Longest time that one call may take before the watchdog minds.
    """

    def __init__(
        self,
        sink: Sink,
        topics: Sequence[Topic],
        group: str,
        *,
        settings: Settings,
        codec: Reader,
        publisher: Publisher,
    ) -> None:
        self.sink = sink
        self.seat = Seat([topic.name for topic in topics], group, settings)
        self.group = group
        self.name = self.seat.name
        self.codec = codec
        self.publisher = publisher
        self.gather_s = GATHER_S
        self.call_limit_s = CALL_LIMIT_S
        self.clock: Clock = open_clock(settings)
        self.dependencies = Dependencies()
        self.broken = BrokenBatches(self.name, self.dependencies)
        self.assignment = 0
        self.fuse = Fuse(self.seat, self.seat.burn)
        self.began_s: float | None = None
        self.stopping = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join the group and begin.

        Raises:
            Unavailable: No broker answers.
            Misconfigured: A topic is missing.
        """
        mend()
        await self.seat.start()
        self.task = asyncio.create_task(self._run(), name=f"sink.{self.name}")

    async def stop(self, *, leave: bool = False) -> None:
        """Finish the running batch unless its store is down; a static member keeps its place.

        Args:
            leave: Give the place up at once: this instance does not come back.
        """
        self.stopping.set()
        if self.task is not None:
            with contextlib.suppress(PipelineError, asyncio.CancelledError):
                await self.task
        await self.seat.stop(leave=leave)

    def why_not_ready(self) -> str | None:
        """Say why nothing is written, or None."""
        return self.dependencies.why() if self.seat.serving else "waiting for partitions"

    def calling(self, now_s: float) -> bool:
        """Tell whether a call of a store, broker or registry is within its time limit."""
        return self.began_s is not None and now_s < self.began_s + self.call_limit_s

    async def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                began = time.monotonic()
                fetched = await self._fetch()
                if fetched:
                    await self.write(fetched)
                elif self.seat.serving:
                    await self._open()
                if 0 < sum(map(len, fetched.values())) < BATCH:
                    await self._pause(began + self.gather_s - time.monotonic())
            except Lost:
                log.info("sink.batch_lost", sink=self.name)
            except KafkaError as exc:
                self.dependencies.down("kafka", self.seat)
                log.warning("sink.kafka", sink=self.name, error=type(exc).__name__)
                await self._pause(WAIT_S)

    async def _fetch(self) -> Mapping[Any, Sequence[Any]]:
        """Return the next records; errors as of the seat."""
        seat, broken = self.seat, self.broken
        try:
            found = await seat.fetch(BATCH)
        except (UnicodeDecodeError, *BROKEN):
            await self._open()  # the books know what was not taken
            places, bootstrap = seat.partitions(), seat.settings.kafka_bootstrap
            found = await read_on(seat.consumer, places, seat.due, bootstrap, broken.meet)
            found = found if self.assignment == seat.assignments else {}
        self.dependencies.up(seat)
        broken.keep(seat.partitions())
        broken.read(found)
        if broken.met and not found:
            await self._pause(WAIT_S)
        return found

    async def write(self, fetched: Mapping[Any, Sequence[Any]]) -> None:
        """Write what was fetched, then commit it."""
        await self._open()
        self.seat.take(fetched)
        batch = [
            (record, event) for record in in_order(fetched) if (event := await self._read(record))
        ]
        if batch:
            await self._write(batch)
        await self._patiently(lambda: self.seat.commit(fetched))
        for at, rows in fetched.items():
            EVENTS_CONSUMED.labels(at.topic, self.group).inc(len(rows))

    async def _open(self) -> None:
        """Open the books of the assignment, which tell how far behind it is."""
        self.assignment = self.seat.assignments
        await self._patiently(self.seat.open)

    async def _read(self, record: Any) -> Event | None:
        """Decode one record; a bad one is dead-lettered, and no fuse minds."""
        try:
            return await self._patiently(lambda: self.codec.read(record.value))
        except Rejected as exc:
            if exc.reason == BUG:
                await self._give_up(record, exc)
            else:
                await self._bury(record, exc.reason, exc.detail)
            return None

    async def _write(self, batch: list[tuple[Any, Event]]) -> None:
        """Write a batch; a bad record is found by halving, so that its neighbours pass in order."""
        rows = [
            Recorded(
                event=event,
                position=Position(
                    topic=record.topic, partition=record.partition, offset=record.offset
                ),
            )
            for record, event in batch
        ]
        began = time.monotonic()
        try:
            await self._patiently(lambda: self.sink.write(rows))
        except Rejected as exc:
            if len(batch) == 1:
                await self._give_up(batch[0][0], exc)
                return
            middle = len(batch) // 2
            await self._write(batch[:middle])
            await self._write(batch[middle:])
            return
        for record, _ in batch:
            self.seat.finish(record)
        if self.fuse.burnt:
            await self._patiently(self.fuse.mend)
        SINK_RECORDS.labels(self.name).inc(len(batch))
        SINK_SECONDS.labels(self.name).observe(time.monotonic() - began)

    async def _give_up(self, record: Any, exc: Rejected) -> None:
        """Bury a record that no store can have; its count comes first, its commit at once.

        So a restart neither counts nor buries it again.

        Raises:
            FuseBlown: It is one too many in a row.
        """
        at = TopicPartition(record.topic, record.partition)
        self.fuse.burn(at, exc.reason)
        await self._patiently(lambda: self.fuse.keep(at))
        await self._bury(record, exc.reason, exc.detail)
        await self._patiently(lambda: self.seat.commit([at]))

    async def _bury(self, record: Any, reason: str, detail: str) -> None:
        letter = dead_letter(
            Original(
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                timestamp_ms=record.timestamp,
                key=record.key,
                value=record.value,
                headers=tuple(record.headers),
            ),
            Verdict(
                reason=reason,
                detail=detail,
                group=self.group,
                stage=self.name,
                first_failed_at_ms=self.clock.now_ms(),
            ),
        )

        async def post() -> None:
            await (await self.publisher.post(letter))

        await self._patiently(post)
        self.seat.finish(record)
        log.warning("sink.buried", sink=self.name, topic=record.topic, reason=reason)
        DEAD_LETTERS.labels(record.topic, reason).inc()
        PARKED.labels(self.name, reason).inc()

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it works: a store that is down is waited for, a bug is tried a few times.

        Raises:
            Rejected: It can never work.
            Lost: The partitions have another owner, or this runner stops.
            OtherLog: They are not what was read before.
        """
        waits, stumbles = 0, 0
        try:
            while True:
                self.began_s = time.monotonic()
                try:
                    return await call()
                except (Rejected, Lost, OtherLog):
                    raise
                except Unavailable as exc:
                    self.dependencies.up(self)
                    self.dependencies.down(exc.service, self)
                    longest = min(WAIT_S * 2.0**waits, LONGEST_WAIT_S)
                    waits = min(waits + 1, 16)
                    log.warning("sink.waiting", sink=self.name, service=exc.service, error=str(exc))
                    seconds = random.uniform(longest / 2, longest)  # noqa: S311 - no secret
                except Exception as exc:
                    stumbles += 1
                    log.warning("sink.failed", sink=self.name, error=place(exc))
                    if stumbles >= TRIES:
                        raise Rejected(BUG, place(exc)) from exc
                    seconds = WAIT_S
                await self._pause(seconds)
                if self.stopping.is_set() or self.assignment != self.seat.assignments:
                    raise Lost
        finally:
            self.began_s = None
            self.dependencies.up(self)

    async def _pause(self, seconds: float) -> None:
        if seconds <= 0:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)
