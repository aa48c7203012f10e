"""Replay of a log: partition after partition, so that memory holds one of them at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import TopicPartition

from schemas.events import Position, SettingsChanged
from schemas.topics import SETTINGS_CHANGED, STATEFUL_STAGES, STEP_TAKEN, TOPICS
from streams.clock import WallClock
from streams.kafka.reading import Reading, position_of
from streams.kafka.registry import open_codec
from streams.processor.stages import read_by
from streams.replay.again import Redoer
from streams.replay.found import Actor, Found, Step, steps
from streams.replay.judge import Judge, Verdict
from streams.replay.recalled import Versions
from streams.replay.stages import offline
from streams.settings import Settings

KEPT_MS: Final = {topic.name: topic.retention_ms for topic in TOPICS}
CONVERSATION_TOPICS: Final = tuple(topic.name for topic in TOPICS if topic is not SETTINGS_CHANGED)
INPUTS: Final = {stage: {topic.name for topic in read_by(stage)} for stage in STATEFUL_STAGES}
LOOKS: Final = 4
LOOK_S: Final = 1.0
"""A step whose records are not all there yet is looked at again, while the pipeline works."""
MARGIN_MS: Final = 120_000
"""Records are not in the order of their times: a turn's response is dated when it was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be replayed.

    Attributes:
        conversation_id: Only this conversation; empty is every one.
        stage: Only this stage; empty is every one.
        since_ms: Judge only steps since then, Unix milliseconds.
        show_text: Show what people and the model wrote where it differs.
    """

    conversation_id: str = ""
    stage: str = ""
    since_ms: int = 0
    show_text: bool = False


@dataclass(slots=True)
class Replayed:
    """What came of it.

    Attributes:
        verdicts: One for each stage in each conversation.
        records: Records that were read.
        undecided: Inputs of stages that no step tells of: they wait, or are dead letters.
        unreadable: Records that were left out: they are bad, or the registry lacks their schema.
        reading_s: Seconds of reading.
        deciding_s: Seconds of deciding.
    """

    verdicts: list[Verdict] = field(default_factory=list)
    records: int = 0
    undecided: int = 0
    unreadable: int = 0
    reading_s: float = 0.0
    deciding_s: float = 0.0


class Book:
    """The settings of tenants, as far as they were read.

    Attributes:
        log: Where they are.
        versions: Every version that is known.
        since: Offsets to go on from.
    """

    def __init__(self, log: Reading) -> None:
        self.log = log
        self.versions = Versions()
        self.since: dict[Any, int] = {}

    async def read(self) -> None:
        """Read on to the present end."""
        async for record, event in self.log.records((SETTINGS_CHANGED.name,), since=self.since):
            self.since[TopicPartition(record.topic, record.partition)] = record.offset + 1
            if isinstance(event, SettingsChanged):
                self.versions.learn(event)


class Partition:
    """One partition of every conversation topic, as far as it was read.

    Attributes:
        found: Its records.
        since: Offsets to go on from.
        horizon_ms: Time before which not every record is there any more; 0 when nothing is cut.
    """

    def __init__(self, book: Book, number: int | None, key: str | None) -> None:
        self.book = book
        self.log = book.log
        self.number = number
        self.key = key
        self.found: list[Found] = []
        self.since: dict[Any, int] = {}
        self.horizon_ms = 0

    async def look_back(self) -> None:
        """Find out since when every topic is whole.

        One that lost all of its records had none that it must still keep.
        """
        cut = await self.log.cut(CONVERSATION_TOPICS, key=self.key, partition=self.number)
        now_ms = WallClock().now_ms()
        whole_since = (
            now_ms - KEPT_MS[place.topic] if oldest is None else oldest
            for place, oldest in cut.items()
        )
        self.horizon_ms = max(whole_since, default=-MARGIN_MS) + MARGIN_MS

    async def read(self) -> int:
        """Read on to the present ends; return how many records that were.

        Settings are read afterwards: a version is there before any record names it.
        """
        before = len(self.found)
        async for record, event in self.log.records(
            CONVERSATION_TOPICS, key=self.key, partition=self.number, since=self.since
        ):
            place = TopicPartition(record.topic, record.partition)
            self.since[place] = record.offset + 1
            self.found.append(Found(event, position_of(record), record.value))
        await self.book.read()
        return len(self.found) - before


async def replay(current: Settings, wanted: Wanted, tell: Callable[[str], None]) -> Replayed:
    """Decide again what is on the topics.

    Args:
        current: Where Kafka and the registry are.
        wanted: What is to be replayed.
        tell: Told how far it is.

    Raises:
        Unavailable: Kafka or the registry does not answer.
        Misconfigured: A topic or a schema is missing.
    """
    codec = await open_codec(current)
    log = Reading(current.kafka_bootstrap, codec, client_id="whaticket.replay")
    book = Book(log)
    redoer = Redoer(offline(book.versions), codec)
    result = Replayed()
    if wanted.conversation_id:
        await _part(Partition(book, None, wanted.conversation_id), redoer, wanted, result)
    else:
        partitions = len(await log.ends((STEP_TAKEN.name,)))
        for number in range(partitions):
            await _part(Partition(book, number, None), redoer, wanted, result)
            tell(f"partition {number + 1} of {partitions}: {result.records:,} records")
    result.unreadable = len({position for position, _ in log.unreadable})
    return result


async def _part(part: Partition, redoer: Redoer, wanted: Wanted, result: Replayed) -> None:
    """Replay one partition; what is not all there yet is read again, a few times."""
    await part.look_back()
    verdicts: dict[Actor, Verdict] = {}
    late: set[Actor] | None = None
    for look in range(LOOKS):
        if look:
            await asyncio.sleep(LOOK_S)
        began = time.monotonic()
        result.records += await part.read()
        read = time.monotonic()
        known = {
            actor: taken
            for actor, taken in steps(part.found).items()
            if wanted.stage in ("", actor[0])
            and (late is None or actor in late)
            and any(step.cause.decided_at >= wanted.since_ms for step in taken)
        }
        judge = Judge(
            redoer,
            {found.position: found.event for found in part.found},
            since_ms=wanted.since_ms,
            horizon_ms=part.horizon_ms,
            show_text=wanted.show_text,
        )
        for actor, taken in known.items():
            verdicts[actor] = await judge.judge(actor, taken)
        result.reading_s += read - began
        result.deciding_s += time.monotonic() - read
        late = {actor for actor in known if _may_change(verdicts[actor], known[actor])}
        if not late:
            break
    result.undecided += _undecided(part, steps(part.found), wanted)
    result.verdicts += verdicts.values()


def _may_change(verdict: Verdict, taken: list[Step]) -> bool:
    """Say whether a difference may go with records that are still to come."""
    found = verdict.difference
    return found is not None and (found.missing or found.seq >= taken[-1].cause.seq)


def _undecided(part: Partition, known: dict[Actor, list[Step]], wanted: Wanted) -> int:
    """Return how many inputs of the stages no step tells of, since the log is whole."""
    applied: dict[str, set[Position]] = {stage: set() for stage in INPUTS}
    for (stage, _), taken in known.items():
        applied[stage] |= {step.source for step in taken}
    return sum(
        found.position.topic in topics and found.position not in applied[stage]
        for found in part.found
        for stage, topics in INPUTS.items()
        if wanted.stage in ("", stage) and found.event.occurred_at >= part.horizon_ms
    )
