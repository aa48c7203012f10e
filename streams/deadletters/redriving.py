"""Redriving: the events of parked conversations go back to their topics, in order.

Rule 1: nothing is kept here. The dead letters say what waits, the changelogs of the stages say
how far each conversation is; both are read anew at each step.
Rule 2: a run of one topic is written at once; before the next topic the stage must have come
as far. Writing anything twice is harmless: the loop knows each number (``streams.state.parking``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from aiokafka.partitioner import murmur2

from agents.core.seen import DAY_MS, KEPT_DAYS
from schemas.topics import DLQ_SUFFIX, STATEFUL_STAGES, TOPICS, changelog
from streams.deadletters.letters import Flags, Letter, first_run, lost, newest, waiting
from streams.deadletters.searching import ever_parked
from streams.kafka.partitioner import partition_of
from streams.kafka.publish import Publisher, Record
from streams.kafka.tailing import Tail
from streams.state.belief import believe
from streams.state.controls import CONTROL
from streams.state.parking import Parking
from streams.state.records import Head, Unreadable

CLIENT: Final = "whaticket.dlq"
POLL_S: Final = 0.1
WAIT_S: Final = 30.0

INPUTS: Final[Mapping[str, tuple[str, ...]]] = {
    stage: tuple(
        # First the topics that nobody else reads: a lost number is dropped there.
        topic.name
        for topic in sorted(TOPICS, key=lambda topic: len(topic.readers))
        if stage in topic.readers and not topic.single
    )
    for stage in STATEFUL_STAGES
}
"""Topics that each stage reads."""

EVERY: Final = tuple(topic.name for topic in TOPICS)


class End(StrEnum):
    """How the redrive of one conversation ended."""

    RESUMED = "resumed"  #: Everything was decided; the conversation goes on.
    AGAIN = "again"  #: Everything was decided, and another event has parked it since.
    FAILED = "failed"  #: An event failed again; it still holds the others back.
    LOST = "lost"  #: The letter of the next number is gone; it can only be dropped.
    TOO_LARGE = "too_large"  #: The next letter has not its record; it can only be dropped.
    UNHEARD = "unheard"  #: No worker of the stage took what was written, in time.
    STOPPED = "stopped"  #: What was asked for is done, and others are still waiting.


@dataclass(frozen=True, slots=True)
class Result:
    """How far the redrive of one conversation came.

    Attributes:
        end: How it ended.
        written: Records that were written.
        flag: The flag as it is now; None when the conversation is no longer parked.
    """

    end: End
    written: int
    flag: Parking | None


class Desk:
    """Dead letters and flags, side by side; a context manager.

    Attributes:
        every: Every letter read, in the order of each partition.
        letters: The newest letter of each record.
        flags: The flag of each parked conversation that was looked at: all that have letters.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        topics: Sequence[str] = EVERY,
        inputs: Mapping[str, tuple[str, ...]] = INPUTS,
    ) -> None:
        self.bootstrap = bootstrap
        self.topics = topics
        self.inputs = inputs
        self.every: list[Letter] = []
        self.publisher = Publisher(bootstrap, client_id=CLIENT)
        self._letters = Tail(bootstrap, client_id=f"{CLIENT}.letters")
        self._changelogs = Tail(bootstrap, client_id=f"{CLIENT}.changelogs")
        self._watched: set[tuple[str, bytes]] = set()
        self._heads: dict[tuple[str, bytes], Head] = {}
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connect, and find out how many partitions there are.

        Raises:
            Unavailable: No broker answers.
            Misconfigured: A topic is missing.
        """
        async with AsyncExitStack() as opened:
            await opened.enter_async_context(self._letters)
            await opened.enter_async_context(self._changelogs)
            counts = await self._letters.partitions([topic + DLQ_SUFFIX for topic in self.topics])
            await self._letters.follow(
                (topic, number) for topic, count in counts.items() for number in range(count)
            )
            self._opened = opened.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self.publisher.stop()
        await self._opened.aclose()

    @property
    def letters(self) -> list[Letter]:
        """The newest letter of each record."""
        return newest(self.every)

    @property
    def flags(self) -> Flags:
        """The flags of the conversations that were looked at."""
        return {
            whose: head.parked for whose, head in self._heads.items() if head.parked is not None
        }

    async def look(self, *more: tuple[str, bytes, int]) -> None:
        """Read what was added to the dead letters, and the flags of their conversations.

        Args:
            more: Stage, key and partition of conversations to look at even without a letter.
        """
        async for record in self._letters.catch_up():
            self.every.append(Letter.of(record))
        owners = {
            (letter.stage, letter.key, letter.position.partition)
            for letter in self.letters
            if letter.number and letter.stage in self.inputs and letter.key is not None
        }
        await self._watch({*owners, *more})
        async for record in self._changelogs.catch_up():
            self._note(record.topic, record.key, record.value)

    async def search(self, stages: Iterable[str]) -> None:
        """Look at every parked conversation of some stages, also at one without a letter."""
        client_id = f"{CLIENT}.search"
        await self.look(*await ever_parked(self.bootstrap, tuple(stages), client_id))

    async def partition_of(self, key: bytes) -> int:
        """Return the partition of a key, on every topic that is keyed by conversation."""
        keyed = next(topic for topics in self.inputs.values() for topic in topics)
        counts = await self._letters.partitions([keyed])
        return partition_of(murmur2(key), counts[keyed])

    async def flag(self, stage: str, key: bytes) -> Parking | None:
        """Return the flag of a conversation as it is now."""
        async for record in self._changelogs.catch_up():
            self._note(record.topic, record.key, record.value)
        return self.flags.get((stage, key))

    async def redrive(
        self,
        stage: str,
        key: bytes,
        *,
        drop: Iterable[int] = (),
        stop_at: int | None = None,
        wait_s: float = WAIT_S,
    ) -> Result:
        """Write the events of a parked conversation back, in order, until it goes on.

        Args:
            stage: The stage that parked it.
            key: Its key.
            drop: Numbers that are given up for good instead of being decided.
            stop_at: Number behind which nothing is written; None goes on to the end.
            wait_s: Longest time without progress of the stage, in seconds.

        Raises:
            Unavailable: No broker answers.
        """
        await self.publisher.start()
        begun, dropped, written = await self.flag(stage, key), frozenset(drop), 0
        deadline = time.monotonic() + wait_s
        while True:
            flag = await self.flag(stage, key)
            if begun is None or flag is None:
                return Result(End.RESUMED, written, None)
            if (end := _ended(begun, flag, stop_at)) is not None:
                return Result(end, written, flag)
            records = await self._records(stage, key, flag, dropped, stop_at)
            if not records:  # a stage writes its flag first, and then the letter
                if flag.next in self._waiting(stage, key, flag):
                    return Result(End.TOO_LARGE, written, flag)
                if time.monotonic() >= deadline:
                    return Result(End.LOST, written, flag)
                await asyncio.sleep(POLL_S)
                continue
            await self.publisher.publish(records)
            written += len(records)
            if not await self._heard(stage, key, flag, flag.next + len(records), wait_s):
                return Result(End.UNHEARD, written, flag)
            deadline = time.monotonic() + wait_s

    async def _records(
        self, stage: str, key: bytes, flag: Parking, drop: frozenset[int], stop_at: int | None
    ) -> list[Record]:
        """Return what may be written now, without waiting in between."""
        await self.look()
        queue = self._waiting(stage, key, flag)
        first = queue.get(flag.next)
        if flag.next in drop and (first is None or not first.whole):
            return [lost(stage, key, self.inputs[stage][0], flag)]
        return [
            letter.back(dropped=letter.number in drop)
            for letter in first_run(queue, flag)
            if stop_at is None or letter.number <= stop_at
        ]

    def _waiting(self, stage: str, key: bytes, flag: Parking) -> dict[int, Letter]:
        """Return the letters of a conversation that were not decided yet, by number."""
        mine = [each for each in self.letters if (each.stage, each.key) == (stage, key)]
        return waiting(mine, flag)

    async def _heard(
        self, stage: str, key: bytes, before: Parking, upto: int, wait_s: float
    ) -> bool:
        """Wait until the stage decided every number below ``upto``, or gave one up again."""
        seen, deadline = before, time.monotonic() + wait_s
        while time.monotonic() < deadline:
            flag = await self.flag(stage, key)
            if flag is None or flag.parking_id != before.parking_id or flag.next >= upto:
                return True
            if flag.failures > before.failures:
                return True
            if flag.next > seen.next:
                seen, deadline = flag, time.monotonic() + wait_s
            await asyncio.sleep(POLL_S)
        return False

    async def _watch(self, owners: set[tuple[str, bytes, int]]) -> None:
        """Follow the changelog partitions of conversations; a new one means to read again."""
        fresh = {(stage, key) for stage, key, _ in owners} - self._watched
        if not fresh:
            return
        self._watched |= fresh
        known = {(place.topic, place.partition) for place in self._changelogs.places}
        places = {(changelog(stage), partition) for stage, _, partition in owners}
        self._heads.clear()
        await self._changelogs.follow(sorted(places | known))

    def _note(self, topic: str, key: bytes | None, raw: bytes | None) -> None:
        """Note a table value; one that cannot be read says nothing."""
        stage = next((each for each in self.inputs if changelog(each) == topic), "")
        if key is None or key.startswith(CONTROL) or (stage, key) not in self._watched:
            return
        with suppress(Unreadable):
            believe(self._heads, (stage, key), raw)


def forgotten(letter: Letter, now_ms: int) -> bool:
    """Tell whether a stage may have decided a letter that came back before, and not know it."""
    known_ms = now_ms - (KEPT_DAYS - 1) * DAY_MS
    return letter.stage in INPUTS and letter.first_failed_ms < known_ms


def _ended(begun: Parking, flag: Parking, stop_at: int | None) -> End | None:
    """Say how a redrive ended, given the flag that it began with and the present one."""
    if flag.parking_id != begun.parking_id:
        return End.AGAIN
    if flag.failures > begun.failures:
        return End.FAILED
    if stop_at is not None and flag.next > stop_at:
        return End.STOPPED
    return None
