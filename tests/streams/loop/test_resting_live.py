"""Conversations at rest on a real broker and a real database, with workers that are killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import TopicPartition

from sinks.database import open_pool
from sinks.migrations import migrate
from sinks.resting import RestingStates
from streams.kafka.groups import Groups
from streams.kafka.publish import Publisher
from streams.local.stack import Stack
from streams.state.controls import CONTROL
from streams.state.records import Entry, Head
from tests.streams.loop.harness import (
    PARTITIONS,
    Toy,
    everything,
    lag,
    publish,
    publishing,
    toys,
    until,
)
from tests.streams.loop.toy import Names, Tally, received

pytestmark = pytest.mark.integration

CONVERSATIONS = 12
IDLE_MS = 500


@pytest.fixture
async def shelf(postgres_dsn: str) -> AsyncIterator[RestingStates]:
    pool = await open_pool(postgres_dsn)
    await migrate(pool)
    yield RestingStates(pool)
    await pool.close()


async def at_rest(worker: Toy, names: Names) -> None:
    """Wait until no conversation is in memory, and every one is known."""

    async def seen() -> bool:
        kept = [
            await worker.metric("table_conversations", stage=stage, kept=where)
            for stage in (names.talk, names.think)
            for where in ("memory", "postgres")
        ]
        return kept == [0, CONVERSATIONS] * 2

    await until(seen, "every conversation at rest")
    assert await worker.metric("table_bytes") == 0


async def nothing_left(bootstrap: str, names: Names) -> None:
    async def settled() -> bool:
        topics = (names.inbox, names.asked, names.answered)
        return not any([await lag(bootstrap, names.group, topic.name) for topic in topics])

    await until(settled, "no lag")


async def tallies(bootstrap: str, names: Names, shelf: RestingStates) -> dict[str, list[str]]:
    """Return what each conversation has seen, from the changelog and what rests."""
    newest: dict[bytes, Any] = {}
    for record in await everything(bootstrap, f"whaticket.{names.talk}.changelog"):
        if not record.key.startswith(CONTROL):
            newest[record.key] = record.value
    found = {}
    for key, raw in newest.items():
        mark = Head.of(raw).away
        value = raw if mark is None else await shelf.find(names.talk, key, mark)
        assert value is not None
        tally = msgspec.json.decode(Entry.loads(value).state, type=Tally)
        assert tally.seq == len(tally.seen)
        found[key.decode()] = [word for word in tally.seen if not word.startswith("re:")]
    return found


async def said(bootstrap: str, names: Names) -> list[bytes]:
    return sorted(record.value for record in await everything(bootstrap, names.said.name))


async def speak(publisher: Publisher, names: Names, *numbers: int) -> None:
    await publish(
        publisher, *(received(names, c, n) for n in numbers for c in range(CONVERSATIONS))
    )
    await nothing_left(publisher.bootstrap, names)


def wanted(messages: int) -> dict[str, list[str]]:
    return {f"conv_{c}": [f"wamid.{c}.{n}" for n in range(messages)] for c in range(CONVERSATIONS)}


async def test_killed_workers_leave_conversations_at_rest_as_they_were(
    stack: Stack, names: Names, shelf: RestingStates, postgres_dsn: str, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        first = await start("first", rest=[postgres_dsn, IDLE_MS])
        await speak(publisher, names, 0, 1, 2)
        await at_rest(first, names)
        first.kill()
        second = await start("second", rest=[postgres_dsn, IDLE_MS])
        await second.ready()
        await at_rest(second, names)  # as the changelog says
        await speak(publisher, names, 3, 4)
        second.kill()
        third = await start("third", rest=[postgres_dsn, IDLE_MS])
        await third.ready()
        await speak(publisher, names, 5)
        assert await third.stop() == 0

    assert await tallies(bootstrap, names, shelf) == wanted(6)
    assert len(set(await said(bootstrap, names))) == 6 * CONVERSATIONS


async def test_offsets_set_back_repeat_nothing_of_conversations_at_rest(
    stack: Stack, names: Names, shelf: RestingStates, postgres_dsn: str, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    inputs = [topic.name for topic in (names.inbox, names.asked, names.answered)]
    options: dict[str, Any] = {
        "rest": [postgres_dsn, IDLE_MS],
        "settings": {"static_membership": False},
    }
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        first = await start("first", **options)
        await speak(publisher, names, 0, 1, 2)
        await at_rest(first, names)
        assert await first.stop() == 0
        before = await said(bootstrap, names)
        places = [
            TopicPartition(each, number, 0) for each in inputs for number in range(PARTITIONS)
        ]
        await asyncio.to_thread(Groups(bootstrap).commit, names.group, places)
        second = await start("second", **options)
        await second.ready()
        await nothing_left(bootstrap, names)

        assert await said(bootstrap, names) == before
        await at_rest(second, names)
        assert await second.metric("conversations_woken_total") >= 3 * len(inputs) * CONVERSATIONS
        await speak(publisher, names, 3)
        assert await second.stop() == 0

    assert await tallies(bootstrap, names, shelf) == wanted(4)
