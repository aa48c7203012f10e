"""Static members: a restart moves no partition, and no two workers share a place."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from streams.consumer.membership import dismiss, leave_for_good
from streams.kafka.groups import Groups
from streams.local.stack import Stack
from tests.streams.loop.harness import everything, lag, publish, publishing, toys, until
from tests.streams.loop.toy import Names, received

pytestmark = pytest.mark.integration

CONVERSATIONS = 20
PATIENT = {"session_timeout_s": 30}
"""Longer than a restart takes on a busy machine."""


async def said(bootstrap: str, names: Names) -> int:
    return len({r.key + r.value for r in await everything(bootstrap, names.said.name)})


def served(worker: Any) -> list[int]:
    """How many partitions the worker had, each time that it began to serve."""
    return [int(line["partitions"]) for line in worker.said("worker.serving")]


def rebalances(worker: Any) -> int:
    return len(worker.said("worker.quiesced"))


@pytest.mark.parametrize("end", ["stopped", "killed"])
async def test_a_restarted_worker_gets_its_partitions_back_and_nobody_else_notices(
    stack: Stack, names: Names, tmp_path: Path, end: str
) -> None:
    bootstrap = stack.kafka_bootstrap
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        first = await start("first", settings=PATIENT)
        await first.ready()
        second = await start("second", settings=PATIENT)
        await until(lambda: served(second) and len(served(first)) > 1, "two workers")
        before, mine = rebalances(second), served(first)[-1]
        assert (mine, served(second)[-1]) == (12, 12)
        await publish(
            publisher, *(received(names, c, n) for n in range(10) for c in range(CONVERSATIONS))
        )

        if end == "stopped":
            assert await first.stop() == 0
        else:
            first.kill()
            await first.process.wait()
        await publish(
            publisher, *(received(names, c, n) for n in range(10, 20) for c in range(CONVERSATIONS))
        )
        again = await start("first", settings=PATIENT)  # logs to the same file

        async def complete() -> bool:
            return await said(bootstrap, names) == 20 * CONVERSATIONS

        await until(complete, "everything said")
        assert rebalances(second) == before
        assert served(again)[-1] == mine
        assert await again.metric("audit_skipped_offsets_total") == 0


async def test_of_two_live_workers_of_one_instance_the_older_ends_with_a_clear_last_line(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    (tmp_path / "other").mkdir()
    async with (
        publishing(bootstrap) as publisher,
        toys(bootstrap, names, tmp_path) as start,
        toys(bootstrap, names, tmp_path / "other") as start_other,
    ):
        older = await start("same")
        await older.ready()
        newer = await start_other("same")
        await publish(publisher, *(received(names, c, 0) for c in range(CONVERSATIONS)))

        assert await asyncio.wait_for(older.process.wait(), 60) == 1

        (crashed,) = older.said("worker.crashed")
        assert "another process joined" in crashed["error"]
        assert "as instance same" in crashed["error"]

        async def complete() -> bool:
            return await said(bootstrap, names) == CONVERSATIONS

        await until(complete, "everything said")
        assert await newer.stop() == 0


async def test_a_worker_that_leaves_for_good_or_is_dismissed_gives_its_place_up_at_once(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    groups = Groups(bootstrap)
    async with toys(bootstrap, names, tmp_path) as start:
        workers = [await start(name, settings=PATIENT) for name in ("one", "two", "three")]

        async def members() -> set[str]:
            known = await asyncio.to_thread(groups.instances, [names.group])
            return known.get(names.group, set())

        async def all_in() -> bool:
            return await members() == {"one", "two", "three"}

        await until(all_in, "three members")

        assert await workers[2].stop() == 0
        assert "three" in await members()
        assert await dismiss(bootstrap, names.group, ["three", "nobody"]) == ["three"]
        assert await members() == {"one", "two"}

        workers[1].process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(workers[1].process.wait(), 30) == 0
        if late := workers[1].said("group.not_left"):  # the broker is slow, and its place is kept
            assert [(each["group"], each["error"]) for each in late] == [
                (names.group, "TimeoutError")
            ]
            await dismiss(bootstrap, names.group, ["two"])

        async def two_left() -> bool:
            return await members() == {"one"}

        left = [each["errors"] for each in workers[1].said("group.left")]
        await until(two_left, f"one member; the other was told {left} and {late}", seconds=10)


@asynccontextmanager
async def member(bootstrap: str, names: Names) -> AsyncIterator[Any]:
    """A static member of the group, as a worker that is stopped for good has it."""
    consumer = AIOKafkaConsumer(
        names.said.name,
        bootstrap_servers=bootstrap,
        group_id=names.group,
        group_instance_id="one",
        enable_auto_commit=False,
        session_timeout_ms=30_000,
    )
    await consumer.start()
    leave_for_good(consumer, "one")
    yield consumer
    await consumer.stop()


async def test_a_member_leaves_though_it_has_just_lost_its_coordinator(
    stack: Stack, names: Names
) -> None:
    groups = Groups(stack.kafka_bootstrap)

    async with member(stack.kafka_bootstrap, names) as consumer:
        before = await asyncio.to_thread(groups.instances, [names.group])
        consumer._coordinator.coordinator_dead()

    assert before == {names.group: {"one"}}
    assert await asyncio.to_thread(groups.instances, [names.group]) == {}


async def test_a_member_that_leaves_gives_up_no_place_but_its_own(
    stack: Stack, names: Names
) -> None:
    groups = Groups(stack.kafka_bootstrap)

    async with member(stack.kafka_bootstrap, names) as consumer:
        consumer._coordinator.member_id = "one-of-an-earlier-process"

    left = await asyncio.to_thread(groups.instances, [names.group])
    assert left == {names.group: {"one"}}
    assert await dismiss(stack.kafka_bootstrap, names.group, ["one"]) == ["one"]


async def test_a_rolling_release_that_adds_a_topic_serves_it_after_the_last_restart(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        olds = {name: await start(name, settings=PATIENT, timers=False) for name in ("one", "two")}
        for old in olds.values():
            await old.ready()
        for name, old in olds.items():
            assert await old.stop() == 0
            await (await start(name, settings=PATIENT, timer_ms=100)).ready()
        await publish(publisher, *(received(names, c, 0) for c in range(CONVERSATIONS)))

        async def fired() -> bool:
            lags = [await lag(bootstrap, names.group, topic.name) for topic in names.all()[:3]]
            timers = {record.key for record in await everything(bootstrap, names.timer.name)}
            return len(timers) == CONVERSATIONS and not any(lags)

        await until(fired, "every timer")

        async def read() -> bool:
            return await lag(bootstrap, names.group, names.timer.name) == 0

        await until(read, "every timer event applied")


async def test_a_rolling_release_that_drops_a_topic_serves_the_others(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    """A worker that comes back is given what it had, the topic that it reads no more among it."""
    bootstrap = stack.kafka_bootstrap
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        news = {name: await start(name, settings=PATIENT) for name in ("one", "two")}
        for new in news.values():
            await new.ready()
        olds = []
        for name, new in news.items():
            assert await new.stop() == 0
            olds.append(await start(name, settings=PATIENT, timers=False))
            await olds[-1].ready()
        await publish(publisher, *(received(names, c, 0) for c in range(CONVERSATIONS)))

        async def served() -> bool:
            return not any([await lag(bootstrap, names.group, t.name) for t in names.all()[:3]])

        await until(served, "every event of the other topics")
        assert any(old.said("group.foreign_topics") for old in olds)
