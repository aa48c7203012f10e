"""Conversations that rest: their values leave memory for Postgres until they speak again.

Rule 1: resting changes nothing that is decided. The value that comes back is the one that left,
so no step is taken for it, and nothing of it is on the topics (docs/adr/0020).
Rule 2: a value is written elsewhere first, then the changelog says so, then memory lets it go. A
crash in between leaves it where it was.
Rule 3: nothing is decided of a conversation between the check that it is at rest and the broker's
acknowledgement: an event that comes just then waits for it.
Rule 4: an earlier value is deleted only by who was the owner after the broker had acknowledged the
newer one: every later owner reads of that one, and of none before it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from faust.types import TP
from msgspec.structs import replace

from agents.ports import Clock
from schemas.errors import PipelineError, Unavailable
from streams.kafka.publish import Publisher
from streams.logs import place
from streams.metrics import RESTED, WOKEN
from streams.processor.lanes import Lanes
from streams.state.absent import fingerprint_of
from streams.state.records import Entry, Head, Unreadable
from streams.state.table import AckedTable
from streams.watch.pulse import Fenced, Pulse

log = structlog.get_logger(__name__)

DAY_MS: Final = 86_400_000
LOOKS: Final = 100
"""Values that are looked at before others get their turn: about half a millisecond."""
BATCH: Final = 200
BATCH_BYTES: Final = 4 << 20
"""What is written elsewhere in one statement."""
SHARE: Final = 1 / 100
"""Part of the idle time between two sweeps."""
SHORTEST_S: Final = 1.0
LONGEST_S: Final = 600.0

LOST: Final = "resting state"
"""What an event waits for whose conversation's value is not where it should be."""

Values = Mapping[bytes, tuple[int, bytes]]
"""Key -> mark and bytes of a value."""


class Shelf(Protocol):
    """Where values rest (``sinks.resting.RestingStates``); every method may raise Unavailable."""

    async def keep(self, stage: str, values: Values, /) -> Mapping[bytes, int]:
        """Keep values beside the earlier ones of their conversations; return their numbers."""

    async def find(self, stage: str, key: bytes, mark: int, /) -> bytes | None:
        """Return a value."""

    async def tidy(self, stage: str, numbers: Mapping[bytes, int], /) -> None:
        """Delete what was kept of these conversations before the values with these numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Where conversations rest, and when.

    Attributes:
        shelf: Where.
        idle_ms: How long nothing may have happened; 0 lets none leave.
    """

    shelf: Shelf
    idle_ms: int


class Resting:
    """Lets the idle conversations of one stage leave its table, and brings them back.

    Attributes:
        leaving: Conversations whose leaving the broker has not acknowledged yet.
        left: Set while there are none.
    """

    def __init__(
        self,
        table: AckedTable,
        lanes: Lanes,
        publisher: Publisher,
        *,
        pulse: Pulse,
        clock: Clock,
        rest: Rest | None,
    ) -> None:
        self.table = table
        self.lanes = lanes
        self.app = lanes.app
        self.stage = lanes.stage.name
        self.publisher = publisher
        self.pulse = pulse
        self.clock = clock
        self.rest = rest
        self.leaving: frozenset[bytes] = frozenset()
        self.left = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def value(self, key: bytes, partition: int) -> bytes | None:
        """Return the table value of a conversation, wherever it is.

        Raises:
            Unavailable: It is elsewhere and cannot be had now.
        """
        while key in self.leaving:
            await self.left.wait()
        raw = self.table.raw(key)
        if raw is not None or (mark := self.table.absent.mark(key, partition)) is None:
            return raw
        found = await self.rest.shelf.find(self.stage, key, mark) if self.rest else None
        if found is None or fingerprint_of(found) != mark:
            log.error("resting.lost", stage=self.stage, conversation=key.decode(), mark=mark)
            raise Unavailable(LOST)
        WOKEN.labels(self.stage).inc()
        return found

    def start(self) -> None:
        """Begin to sweep, if conversations are to rest."""
        if self.rest is not None and self.rest.idle_ms > 0:
            seconds = min(max(self.rest.idle_ms / 1000 * SHARE, SHORTEST_S), LONGEST_S)
            self.task = asyncio.create_task(self._run(seconds), name=f"resting.{self.stage}")

    async def stop(self) -> None:
        """Sweep no more."""
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task

    async def _run(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                count = await self.sweep()
            except Fenced:
                continue
            except PipelineError as exc:
                log.warning("resting.waiting", stage=self.stage, error=place(exc))
                continue
            except Exception as exc:  # noqa: BLE001 - memory would grow without a word
                log.error("resting.failed", stage=self.stage, error=place(exc))  # noqa: TRY400
                continue
            if count:
                log.info("resting.swept", stage=self.stage, conversations=count)

    async def sweep(self) -> int:
        """Let every idle conversation leave; return how many did.

        Raises:
            Unavailable: Postgres or Kafka is down; what has not left stays.
            Fenced: This worker may have lost its partitions.
        """
        assert self.rest is not None  # noqa: S101 - start() asks before
        before_ms = self.clock.now_ms() - self.rest.idle_ms
        keys, count, size = self.table.known(), 0, 0
        found: dict[bytes, bytes] = {}
        for at in range(0, len(keys), LOOKS):
            for key, raw in self._idle(keys[at : at + LOOKS], before_ms):
                found[key] = raw
                size += len(raw)
                if len(found) >= BATCH or size >= BATCH_BYTES:
                    count += await self._leave(self.rest.shelf, found)
                    found, size = {}, 0
            await asyncio.sleep(0)
        return count + (await self._leave(self.rest.shelf, found) if found else 0)

    def _idle(self, keys: list[bytes], before_ms: int) -> Iterator[tuple[bytes, bytes]]:
        """Yield what nothing happened to for long, and nothing will by itself."""
        for key in keys:
            raw, partition = self.table.raw(key), self.table.partition_of(key)
            if raw is None or partition is None:
                continue
            head = Head.of(raw)
            if head.at_ms > before_ms or head.due_ms is not None or head.parked is not None:
                continue
            topic, offset = head.source
            if not head.sends or self.app.consumer.finished(TP(topic, partition), offset):
                yield key, raw

    async def _leave(self, shelf: Shelf, found: Mapping[bytes, bytes]) -> int:
        values, generation_id = dict(self._shelved(found)), self.app.consumer_generation_id
        numbers = await shelf.keep(self.stage, values)
        if not self.app.serving:
            raise Fenced
        await self.pulse.fence(self.app, generation_id)
        self.leaving = frozenset(key for key in values if self._still(key, found[key]))
        self.left.clear()
        gone = []
        try:
            results = await asyncio.gather(
                *(self.table.rest(key, values[key][0], self.publisher) for key in self.leaving),
                return_exceptions=True,
            )
            gone = [key for key, each in zip(self.leaving, results, strict=True) if each is None]
        finally:
            self.leaving = frozenset()
            self.left.set()
        RESTED.labels(self.stage).inc(len(gone))
        for failed in (each for each in results if each is not None):
            raise failed
        if replacing := {key: numbers[key] for key in gone if key in numbers}:
            await self.pulse.owned(self.app, generation_id)
            await shelf.tidy(self.stage, replacing)
        return len(gone)

    def _shelved(self, found: Mapping[bytes, bytes]) -> Iterator[tuple[bytes, tuple[int, bytes]]]:
        """Yield marks and bytes of values without their outboxes, which were published."""
        for key, raw in found.items():
            try:
                value = replace(Entry.loads(raw), outbox=()).dumps()
            except Unreadable:  # its next event is given up, and calls a person
                log.warning("resting.unreadable", stage=self.stage)
                continue
            yield key, (fingerprint_of(value), value)

    def _still(self, key: bytes, raw: bytes) -> bool:
        """Tell whether nothing has happened to a conversation since, and nothing does now."""
        partition = self.table.partition_of(key)
        return self.table.raw(key) is raw and (partition, key) not in self.lanes.lanes
