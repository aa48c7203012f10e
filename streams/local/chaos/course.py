"""One chaos run on a running stack: workload and faults side by side, then everything seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.errors import PipelineError
from schemas.topics import (
    CONTROL_REQUESTED,
    HUMAN_REPLIED,
    MEMORY_REQUESTED,
    TOOL_COMPLETED,
)
from sinks.ports import Recorded
from streams.clock import WallClock
from streams.kafka.reading import Reading
from streams.kafka.registry import open_codec
from streams.local.chaos import growth, inbound
from streams.local.chaos.acts import strike
from streams.local.chaos.catalogue import Setting, ours
from streams.local.chaos.customers import Customers
from streams.local.chaos.facts import Began, Ended, Fact, Logged, Posted, Struck, Taken
from streams.local.chaos.ground import Ground, Say, comes_ready
from streams.local.chaos.leaks import Search
from streams.local.chaos.proxy import Proxy
from streams.local.chaos.schedule import Planned, schedule
from streams.local.chaos.shown import Marked
from streams.local.chaos.witness import CHANGELOGS, EVERY_TOPIC, LETTERS, Witness, log_ends, logs
from streams.local.chaos.workload import Crowd, phone_prefix, workload
from streams.local.load.history import Sent, history, unfinished
from streams.local.load.run import TOPICS, quiet
from streams.local.outside import Outside, conversation_of
from streams.local.stack import Stack
from streams.patience import patiently
from streams.settings import Settings

READ: Final = (
    *TOPICS,
    CONTROL_REQUESTED.name,
    HUMAN_REPLIED.name,
    MEMORY_REQUESTED.name,
    TOOL_COMPLETED.name,
)
SECRETS: Final = (
    "HASH_KEY",
    "SECRETS_KEY",
    "API_TOKEN",
    "SIMULATOR_APP_SECRET",
    "POSTGRES_PASSWORD",
)
HOT: Final = 0.4
"""Share of the messages that one customer writes in F15."""
REACH_S: Final = 120.0
SHOWN_S: Final = 60.0
"""How long transcripts may take to read the rest: a sink waits up to 30 s for its store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run is to do.

    Attributes:
        seed: Workload and faults follow from it.
        faults: Names of the catalogue.
        layout: One worker for all stages, or one for each.
        conversations: Customers.
        messages: Messages in all.
        rate: Messages a second, on average.
        hot: Share of all messages that one customer writes.
        patience_s: Seconds to wait after sending.
    """

    seed: int
    faults: tuple[str, ...]
    layout: str
    conversations: int
    messages: int
    rate: float
    hot: float = 0.0
    patience_s: float = 180.0

    @property
    def command(self) -> str:
        """What repeats it."""
        parts = [
            f"whaticket chaos --seed {self.seed} --faults {','.join(self.faults)}",
            f"--layout {self.layout} --conversations {self.conversations}",
            f"--messages {self.messages} --rate {self.rate:g}",
        ]
        return " ".join([*parts, f"--hot {self.hot:g}"] if self.hot else parts)


@dataclass(slots=True, kw_only=True)
class Course:
    """A stack on which runs take place, one after the other.

    Attributes:
        stack: The stack.
        current: Where its parts are, past every proxy.
        world: Everything outside.
        proxies: What stands before the brokers.
        brokers: How many there are.
        say: Told what happens.
        clock: Tells the time.
    """

    stack: Stack
    current: Settings
    world: Outside
    proxies: Sequence[Proxy]
    brokers: int
    say: Say
    clock: WallClock = field(default_factory=WallClock)

    async def run(self, asked: Run) -> list[Fact]:
        """Play a run and return what was seen.

        Raises:
            PipelineError: Something of the stack did not come back.
        """
        name = f"{self.clock.now_ms():x}"
        crowd = Crowd(
            run=name,
            seed=asked.seed,
            conversations=asked.conversations,
            messages=asked.messages,
            rate=asked.rate,
            hot=asked.hot or (HOT if "F15" in asked.faults else 0.0),
        )
        began = Began(
            run=name,
            command=asked.command,
            seed=asked.seed,
            faults=asked.faults,
            layout=asked.layout,
            brokers=self.brokers,
            messages=asked.messages,
            at_ms=self.clock.now_ms(),
        )
        setting = Setting(parts=ours(self.stack.names), brokers=self.brokers)
        faults = schedule(asked.seed, asked.faults, setting)
        return [began, *await self._play(crowd, faults, asked)]

    async def _play(self, crowd: Crowd, faults: Sequence[Planned], asked: Run) -> list[Fact]:
        codec = await patiently("registry", lambda: open_codec(self.current), limit_s=REACH_S)
        reading = Reading(self.current.kafka_bootstrap, codec)
        witness = Witness(self.stack, self.current, self.world.client, self.clock, reading)
        since = await reading.ends((*EVERY_TOPIC, *LETTERS, *CHANGELOGS))
        written = log_ends(self.stack.home / "logs")
        before = await self.world.book()
        began_ms = self.clock.now_ms()
        customers = Customers(
            self.current,
            self.world,
            self.clock,
            crowd,
            patience_s=asked.patience_s,
            by_simulator=inbound.NAME in asked.faults,
        )
        ground = Ground(
            stack=self.stack,
            current=self.current,
            customers=customers,
            witness=witness,
            proxies=self.proxies,
            total=asked.messages,
            say=self.say,
        )
        struck = await self._strike(ground, crowd, faults)
        sent = _sent(customers.posted)
        deadline = time.monotonic() + asked.patience_s
        records, _ = await quiet(reading, since, sent, deadline, topics=READ)
        await witness.look_at_commits()
        book = await self.world.book(before["last"])
        wamids = [message.wamid for message in sent]
        search = self._search(crowd)
        facts: list[Fact] = [
            *customers.posted,
            *customers.asked,
            *struck,
            *witness.moments,
            *_logged(records),
            *_taken(book),
            *_marked(book["reads"], before["reads"]),
            *await witness.effects(customers.conversations(), began_ms),
            *await witness.shown(customers.conversations(), time.monotonic() + SHOWN_S),
            *await self._seen(witness, since, search, written),
            await patiently(
                "replay", lambda: witness.again(earliest(began_ms, struck)), limit_s=REACH_S
            ),
            Ended(
                at_ms=self.clock.now_ms(),
                unfinished=unfinished(history(sent, records, ()), wamids),
            ),
        ]
        return await growth.for_good(ground, facts) if growth.NAME in asked.faults else facts

    async def _strike(
        self, ground: Ground, crowd: Crowd, faults: Sequence[Planned]
    ) -> list[Struck]:
        """Play the workload; each fault waits for its time.

        Raises:
            PipelineError: What was struck did not come back.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(ground.customers.play(workload(crowd)))
                strikes = [tasks.create_task(strike(ground, planned)) for planned in faults]
        except ExceptionGroup as group:
            why = "; ".join(f"{type(exc).__name__}: {exc}" for exc in group.exceptions)
            raise PipelineError(why) from group
        return [task.result() for task in strikes]

    async def _seen(
        self,
        witness: Witness,
        since: Mapping[Any, int],
        search: Search,
        written: Mapping[Path, int],
    ) -> list[Fact]:
        """Look at all that is left: dead letters, changelogs, metrics, logs."""
        letters = await witness.records(since, search)
        stored = await witness.stored(since, search)
        counted = await witness.metrics(ours(self.stack.names), search)
        await asyncio.to_thread(logs, self.stack.home / "logs", written, search)
        return [*letters, *stored, *counted, *search.skipped(), *search.leaked(), search.searched()]

    def _search(self, crowd: Crowd) -> Search:
        planted = {
            crowd.marker.encode(): "message text",
            crowd.name.encode(): "name",
            phone_prefix(crowd).encode(): "phone number",
        }
        for name in SECRETS:
            if value := self.stack.plan.written.get(name):
                planted[value.encode()] = f"secret {name}"
        return Search(planted)


def earliest(began_ms: int, struck: Sequence[Struck]) -> int:
    """Return the first time of a run by any clock of it: one may have been an hour behind (F14)."""
    return began_ms + min([0, *(int(fault.evidence.get("skew_ms", 0)) for fault in struck)])


def _sent(posted: Sequence[Posted]) -> list[Sent]:
    return [Sent(p.customer, p.sequence, p.wamid, frozenset(p.expects)) for p in posted]


def _logged(records: Sequence[Recorded]) -> Iterator[Logged]:
    for record in records:
        where = record.position
        yield Logged(
            topic=where.topic,
            partition=where.partition,
            offset=where.offset,
            event=msgspec.to_builtins(record.event),
        )


def _taken(book: Mapping[str, Any]) -> Iterator[Taken]:
    for entry in book["messages"]:
        yield Taken(
            number=entry["number"],
            conversation_id=conversation_of(entry["callback_data"]),
            bubble_id=entry["bubble_id"],
            wamid=entry["wamid"],
            at_ms=entry["at_ms"],
            to=entry["to"],
        )


def _marked(reads: Mapping[str, int], before: Mapping[str, int]) -> Iterator[Marked]:
    """Yield what was marked as read in this run; of an earlier one some may go on for a while."""
    for wamid, times in reads.items():
        if wamid not in before:
            yield Marked(wamid=wamid, times=times)


async def recovered(course: Course) -> bool:
    """Wait until every process of ours is ready again; say whether the next run may begin."""
    root, client = f"http://{course.current.http_host}", course.world.client
    deadline = time.monotonic() + REACH_S
    for name in ours(course.stack.names):
        url = f"{root}:{course.stack.port(name)}/health/ready"
        if not await comes_ready(client, url, deadline - time.monotonic()):
            return False
    return True
