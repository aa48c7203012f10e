"""Looks at a running stack and writes down what it sees: topics, commits, metrics, logs, rows."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from agents.ports import Clock
from schemas.errors import Unavailable
from schemas.topics import DLQ_SUFFIX, STATEFUL_STAGES, TOPICS, changelog
from streams.kafka.groups import Groups
from streams.kafka.misnamed import Fetches
from streams.kafka.naming import group_of
from streams.kafka.reading import Reading
from streams.local.chaos.book import Book
from streams.local.chaos.facts import Again, Committed, Counted, Effect, Letter, Stored
from streams.local.chaos.leaks import Search
from streams.local.chaos.shown import Shown
from streams.local.demo.shop import TENANT
from streams.local.outside import FAULTS
from streams.local.stack import Stack
from streams.processor.stages import read_by
from streams.replay.whole import Wanted, replay
from streams.settings import Settings

DIFFERENCES: Final = 50
"""Most differences that a history keeps."""
POLL_MS: Final = 300
SCRAPE_S: Final = 5.0
LOOK_S: Final = 0.5
SINKS: Final = (".transcripts", ".memory")
"""Last words of the groups that write what is shown."""
READ_BY: Final = {stage: {topic.name for topic in read_by(stage)} for stage in STATEFUL_STAGES}
EVERY_TOPIC: Final = tuple(topic.name for topic in TOPICS if not topic.single)
LETTERS: Final = tuple(topic.dlq for topic in TOPICS)
CHANGELOGS: Final = tuple(changelog(stage) for stage in STATEFUL_STAGES)
COUNTED: Final = (
    "events_skipped_total",
    "events_parked_total",
    "dead_letters_total",
    "unknown_sends_total",
    "audit_offsets_total",
    "audit_skipped_offsets_total",
    "offsets_lost_total",
    "circuit_breaker_failures_total",
)
"""Metrics that a history keeps."""
EFFECTS: Final = """
    SELECT call_id, conversation_id, (extract(epoch FROM created_at) * 1000)::bigint AS at_ms
    FROM service_requests WHERE tenant_id = $1
"""

SHOWN: Final = """
    SELECT conversation_id, seq, phase,
        ARRAY(
            SELECT id FROM messages m
            WHERE m.tenant_id = c.tenant_id AND m.conversation_id = c.conversation_id
        ) AS messages,
        ARRAY(
            SELECT wamid || ' ' || outcome FROM outcomes o
            WHERE o.tenant_id = c.tenant_id AND o.conversation_id = c.conversation_id
        ) AS outcomes,
        ARRAY(
            SELECT event_id FROM memories r
            WHERE r.tenant_id = c.tenant_id AND r.conversation_id = c.conversation_id
        ) AS memories
    FROM conversations c WHERE tenant_id = $1 AND conversation_id = ANY ($2)
"""


@dataclass(slots=True)
class Witness:
    """What sees.

    Attributes:
        stack: The stack.
        current: Where its parts are, past every proxy of ours.
        client: The way to HTTP.
        clock: Tells the time.
        reading: Reads topics.
        moments: Committed offsets that were looked at so far.
    """

    stack: Stack
    current: Settings
    client: aiohttp.ClientSession
    clock: Clock
    reading: Reading
    moments: list[Committed] = field(default_factory=list)

    async def look_at_commits(self) -> Committed:
        """Note what is committed, then how far the topics are: in this order."""
        rows: list[tuple[str, int, int]] = []
        groups = self.groups_of()
        for group, topics in self._groups().items():
            for place in await asyncio.to_thread(groups.committed, group):
                if place.topic in topics:
                    rows.append((place.topic, place.partition, place.offset))  # noqa: PERF401 - awaits
        found = await self.reading.ends(EVERY_TOPIC)
        ends = tuple((place.topic, place.partition, end) for place, end in found.items())
        moment = Committed(at_ms=self.clock.now_ms(), offsets=tuple(rows), ends=ends)
        self.moments.append(moment)
        return moment

    def groups_of(self) -> Groups:
        """Return a view of the consumer groups; a client of its own, for a cluster that changes."""
        return Groups(self.current.kafka_bootstrap)

    def _groups(self) -> Mapping[str, set[str]]:
        """Return the groups with tables and what each of them reads."""
        if any(name.startswith("worker-dispatch") for name in self.stack.names):
            return {group_of([stage]): topics for stage, topics in READ_BY.items()}
        return {group_of(STATEFUL_STAGES): set().union(*READ_BY.values())}

    async def metrics(self, parts: Iterable[str], search: Search) -> list[Counted]:
        """Scrape processes of ours; one that is away is left out."""
        found: list[Counted] = []
        for name in parts:
            if (page := await self._page(name)) is None:
                continue
            search.metrics(name, page)
            for family in text_string_to_metric_families(page.decode()):
                found += [
                    Counted(
                        process=name, name=sample.name, labels=sample.labels, count=sample.value
                    )
                    for sample in family.samples
                    if sample.name in COUNTED
                ]
        return found

    async def _page(self, name: str) -> bytes | None:
        url = f"http://{self.current.http_host}:{self.stack.port(name)}/metrics"
        timeout = aiohttp.ClientTimeout(total=SCRAPE_S)
        with contextlib.suppress(*FAULTS):
            async with self.client.get(url, timeout=timeout) as answer:
                return await answer.read() if answer.ok else None
        return None

    async def records(self, since: Mapping[Any, int], search: Search) -> list[Letter]:
        """Search the keys and headers of all records since then; return the dead letters."""
        letters: list[Letter] = []
        async for row in self._rows((*EVERY_TOPIC, *LETTERS), since):
            search.record(row.topic, row.key, row.headers)
            if row.topic.endswith(DLQ_SUFFIX):
                letters.append(_letter(row))
        return [letter for letter in letters if _fresh(letter, since)]

    async def stored(self, since: Mapping[Any, int], search: Search) -> list[Stored]:
        """Return what each stage wrote to its changelog since then; search keys and headers."""
        books = {changelog(stage): Book(stage) for stage in STATEFUL_STAGES}
        async for row in self._rows(books, since):
            search.record(row.topic, row.key, row.headers)
            books[row.topic].note(row.key, row.value)
        return [book.closed() for book in books.values()]

    async def _rows(self, topics: Iterable[str], since: Mapping[Any, int]) -> AsyncIterator[Any]:
        """Yield the raw records of topics since then, up to their present ends."""
        ends = await self.reading.ends(topics)
        places = [place for place, end in ends.items() if end > since.get(place, 0)]
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.current.kafka_bootstrap, enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign(places)
            for place in places:
                consumer.seek(place, since.get(place, 0))
            fetches = Fetches(consumer, self.current.kafka_bootstrap)
            while places and await _behind(consumer, places, ends):
                for rows in (await fetches.getmany(timeout_ms=POLL_MS)).values():
                    for row in rows:
                        yield row
        finally:
            await consumer.stop()

    async def again(self, since_ms: int) -> Again:
        """Decide everything again that was decided since then, from what was recorded."""
        result = await replay(self.current, Wanted(since_ms=since_ms), lambda _: None)
        different = [
            f"{' '.join(verdict.actor)}: {verdict.difference.line}"
            for verdict in result.verdicts
            if verdict.difference is not None
        ]
        steps = sum(verdict.replayed for verdict in result.verdicts)
        return Again(steps=steps, different=tuple(different[:DIFFERENCES]))

    async def effects(self, conversations: set[str], since_ms: int) -> list[Effect]:
        """Return what the tools did for these conversations, and since then for any other.

        Raises:
            Unavailable: Postgres does not answer.
        """
        return [
            Effect(**row)
            for row in await self._query(EFFECTS)
            if row["conversation_id"] in conversations or row["at_ms"] >= since_ms
        ]

    async def shown(self, conversations: set[str], deadline: float) -> list[Shown]:
        """Return what the sinks have of these conversations, once they have read it all.

        Raises:
            Unavailable: Postgres does not answer.
        """
        groups = self.groups_of()
        while time.monotonic() < deadline:
            lags = await asyncio.to_thread(groups.lags)
            mine = [each.lag for each in lags if each.group.endswith(SINKS)]
            if mine and not any(mine):
                break
            await asyncio.sleep(LOOK_S)
        return [
            Shown(
                conversation_id=row["conversation_id"],
                seq=row["seq"],
                phase=row["phase"],
                messages=tuple(row["messages"]),
                outcomes=dict(each.rsplit(" ", 1) for each in row["outcomes"]),
                memories=tuple(row["memories"]),
            )
            for row in await self._query(SHOWN, list(conversations))
        ]

    async def _query(self, statement: str, *more: object) -> list[Any]:
        try:
            connection = await asyncpg.connect(self.current.postgres_dsn.get_secret_value())
        except (OSError, asyncpg.PostgresError) as exc:
            raise Unavailable("postgres") from exc
        try:
            found: list[Any] = await connection.fetch(statement, TENANT, *more)
        finally:
            await connection.close()
        return found


def logs(folder: Path, since: Mapping[Path, int], search: Search) -> None:
    """Search every log of a stack from where it stood."""
    for path in sorted(folder.glob("*.log*")):
        with path.open("rb") as file:
            file.seek(since.get(path, 0))
            for line in file:
                search.log(path.name, line)


def log_ends(folder: Path) -> dict[Path, int]:
    """Return how long each log is."""
    return {path: path.stat().st_size for path in folder.glob("*.log*")}


async def _behind(consumer: Any, places: list[TopicPartition], ends: Mapping[Any, int]) -> bool:
    for place in places:
        if await consumer.position(place) < ends[place]:
            return True
    return False


def _fresh(letter: Letter, since: Mapping[Any, int]) -> bool:
    """Say whether a letter is about a record of this run; old ones may be buried again."""
    told = [letter.headers.get(f"dlq.original.{n}", "") for n in ("topic", "partition", "offset")]
    if not (told[1].isdecimal() and told[2].isdecimal()):
        return True
    return int(told[2]) >= since.get(TopicPartition(told[0], int(told[1])), 0)


def _letter(row: Any) -> Letter:
    return Letter(
        topic=row.topic,
        partition=row.partition,
        offset=row.offset,
        headers={name: value.decode("utf-8", "replace") for name, value in row.headers},
        keyed=row.key is not None,
    )
