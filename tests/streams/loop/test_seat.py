"""The seat of a sink on a real broker: audited and kept as a worker's is."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from schemas.errors import Misconfigured
from streams.consumer.ledger import Ledger
from streams.consumer.membership import Replaced
from streams.consumer.vouching import Voucher
from streams.deadletters.fuse import FUSE, FuseBlown
from streams.kafka.groups import Groups
from streams.kafka.publish import record_of
from streams.local.stack import Stack
from streams.metrics import AUDITED, SKIPPED_OFFSETS
from streams.sinking import SinkRunner
from streams.state.proof import OtherLog, Proof
from tests.streams.loop.harness import (
    DEADLINE_S,
    PARTITIONS,
    everything,
    lag,
    publish,
    publishing,
    toys,
    until,
)
from tests.streams.loop.shelf import Shelf, group_of, sink_of
from tests.streams.loop.toy import JsonCodec, Names, received, toy_settings

pytestmark = pytest.mark.integration

CONVERSATIONS = 20
PATIENT: dict[str, Any] = {"session_timeout_s": 30}
"""Longer than a restart takes on a busy machine."""


@asynccontextmanager
async def running(
    stack: Stack, names: Names, shelf: Shelf, **settings: Any
) -> AsyncIterator[SinkRunner]:
    async with publishing(stack.kafka_bootstrap) as publisher:
        wanted = toy_settings(stack.kafka_bootstrap, **settings)
        sink = sink_of(shelf, names, publisher, stack.kafka_bootstrap, wanted)
        try:
            await sink.start()
            yield sink
        finally:
            await sink.stop()


def held(sink: SinkRunner) -> set[TopicPartition]:
    mine: set[TopicPartition] = sink.seat.consumer.assignment()
    return mine


def audited(names: Names) -> float:
    return float(AUDITED.labels(names.inbox.name, group_of(names))._value.get())


def skipped(names: Names) -> float:
    return float(SKIPPED_OFFSETS.labels(names.inbox.name, group_of(names))._value.get())


async def test_every_committed_offset_of_a_sink_was_audited_markers_of_transactions_too(
    stack: Stack, names: Names
) -> None:
    bootstrap, codec, shelf = stack.kafka_bootstrap, JsonCodec(), Shelf()
    writer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=names.run)
    await writer.start()
    for number in range(6):
        async with writer.transaction():
            for conversation in range(8):
                record = record_of(received(names, conversation, number), codec)
                await writer.send(record.topic, record.value, record.key)
    await writer.stop()

    async def written() -> bool:
        return len(shelf.kept()) == 48 and audited(names) >= 48

    async with running(stack, names, shelf):
        await until(written, "everything committed")

    assert skipped(names) == 0


async def test_a_sink_that_loses_a_record_commits_nothing_past_it(
    stack: Stack, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "safe", lambda ledger: ledger.next)  # planted
    bootstrap, shelf = stack.kafka_bootstrap, Shelf()
    async with publishing(bootstrap) as publisher:
        await publish(publisher, *(received(names, c, n) for n in range(5) for c in range(30)))
    async with running(stack, names, shelf) as sink:
        whole = sink._write

        async def careless(batch: Any) -> None:
            await whole([row for row in batch if row[1].wamid != "wamid.0.0"])

        monkeypatch.setattr(sink, "_write", careless)

        async def others_committed() -> bool:
            return len(shelf.kept()) == 149 and audited(names) > 0

        await until(others_committed, "commits of other partitions")
        await until(lambda: skipped(names) > 0, "the alarm")

    assert await lag(bootstrap, group_of(names), names.inbox.name) > 0


@pytest.mark.parametrize("static", [True, False])
async def test_a_static_sink_that_restarts_moves_no_partition(
    stack: Stack, names: Names, static: bool
) -> None:
    settings = PATIENT | {"static_membership": static}
    shelf = Shelf()
    async with (
        publishing(stack.kafka_bootstrap) as publisher,
        running(stack, names, Shelf(), instance="stays", **settings) as stays,
    ):
        async with running(stack, names, shelf, instance="restarts", **settings) as restarts:
            await until(lambda: held(stays) and held(restarts), "two sinks")
            before, assignments = held(restarts), stays.seat.assignments
        await publish(publisher, *(received(names, c, 0) for c in range(CONVERSATIONS)))
        async with running(stack, names, shelf, instance="restarts", **settings) as restarts:

            async def written() -> bool:
                topic = names.inbox.name
                behind = await lag(stack.kafka_bootstrap, group_of(names), topic)
                return bool(behind == 0 and held(stays) and held(restarts))

            await until(written, "everything written")
            after = held(restarts)

    assert (stays.seat.assignments == assignments) is static
    assert shelf.kept()
    if static:
        assert after == before


async def test_of_two_live_sinks_of_one_instance_the_older_ends_with_a_clear_last_word(
    stack: Stack, names: Names
) -> None:
    shelf = Shelf()
    async with running(stack, names, Shelf(), instance="same") as older:
        await until(lambda: held(older), "partitions")
        async with running(stack, names, shelf, instance="same"):
            assert older.task is not None
            with pytest.raises(Replaced, match=f"{group_of(names)} as instance same"):
                await asyncio.wait_for(older.task, DEADLINE_S)

            async with publishing(stack.kafka_bootstrap) as publisher:
                await publish(publisher, *(received(names, c, 0) for c in range(CONVERSATIONS)))
            await until(lambda: len(shelf.kept()) == CONVERSATIONS, "everything written")


async def test_a_sink_keeps_its_place_when_it_stops_and_gives_it_up_when_it_leaves(
    stack: Stack, names: Names
) -> None:
    groups = Groups(stack.kafka_bootstrap)

    async def members() -> set[str]:
        known = await asyncio.to_thread(groups.instances, [group_of(names)])
        return known.get(group_of(names), set())

    async with running(stack, names, Shelf(), instance="one", **PATIENT) as one:
        await until(lambda: held(one), "partitions")
    kept = await members()
    async with running(stack, names, Shelf(), instance="one", **PATIENT) as one:
        await until(lambda: held(one), "partitions")
        await one.stop(leave=True)

    assert kept == {"one"}
    assert await members() == set()


async def test_a_worker_that_leaves_for_good_gives_up_the_places_of_its_sinks(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    groups = Groups(stack.kafka_bootstrap)
    members: list[dict[str, set[str]]] = []
    async with toys(stack.kafka_bootstrap, names, tmp_path) as start:
        for ending in (signal.SIGTERM, signal.SIGINT):
            worker = await start("one", settings=PATIENT, sink={})
            await worker.ready()
            worker.process.send_signal(ending)
            assert await asyncio.wait_for(worker.process.wait(), DEADLINE_S) == 0
            members.append(await asyncio.to_thread(groups.instances, [group_of(names)]))

    assert members == [{group_of(names): {"one"}}, {}]


async def test_all_starts_of_a_crash_loop_give_up_no_more_than_one_would(
    stack: Stack, names: Names
) -> None:
    many = FUSE + 15
    bad = frozenset(f"wamid.{number}.0" for number in range(many))
    letters: list[int] = []
    async with publishing(stack.kafka_bootstrap) as publisher:
        await publish(publisher, *(received(names, n, 0) for n in range(many)))
    for _ in range(3):
        async with running(stack, names, Shelf(hated=bad)) as sink:
            assert sink.task is not None
            with pytest.raises(FuseBlown, match="in a row were given up"):
                await asyncio.wait_for(sink.task, DEADLINE_S)
        letters.append(len(await everything(stack.kafka_bootstrap, names.inbox.dlq)))
    mended = Shelf()
    async with running(stack, names, mended):
        await until(lambda: len(mended.kept()) == many - letters[-1], "what was not given up")

    assert letters == [FUSE - 1] * 3


async def test_a_sink_refuses_a_log_that_has_another_record_where_it_has_read(
    stack: Stack, names: Names
) -> None:
    """As if it had been cut and had grown again: what is new below the commit is never read."""
    bootstrap, shelf = stack.kafka_bootstrap, Shelf()
    async with publishing(bootstrap) as publisher:
        await publish(publisher, *(received(names, c, 0) for c in range(CONVERSATIONS)))
        for _ in range(2):  # a restart finds every log as it was
            async with running(stack, names, shelf, static_membership=False):
                await until(lambda: len(shelf.kept()) == CONVERSATIONS, "everything written")

                async def read() -> bool:
                    return await lag(bootstrap, group_of(names), names.inbox.name) == 0

                await until(read, "everything committed")
        place = await other_history(bootstrap, names)
        await publish(publisher, *(received(names, c, 1) for c in range(CONVERSATIONS)))
        async with running(stack, names, shelf, static_membership=False) as sink:
            assert sink.task is not None
            with pytest.raises(OtherLog, match=f"partition {place.partition} of {place.topic} is"):
                await asyncio.wait_for(sink.task, DEADLINE_S)

    assert len(shelf.kept()) == CONVERSATIONS


async def other_history(bootstrap: str, names: Names) -> TopicPartition:
    """Let the group have read another record in one partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group_of(names), enable_auto_commit=False
    )
    await consumer.start()
    places = [TopicPartition(names.inbox.name, n) for n in range(PARTITIONS)]
    consumer.assign(places)
    committed = await consumer._coordinator.fetch_committed_offsets(places)
    place, told = max(committed.items(), key=lambda found: found[1].offset)
    proof = Voucher.of(told.metadata).proof
    assert proof is not None
    lie = Voucher(proof=Proof(proof.offset, proof.mark ^ 1))
    await consumer.commit({place: OffsetAndMetadata(told.offset, str(lie))})
    await consumer.stop()
    return TopicPartition(place.topic, place.partition)


async def test_a_sink_whose_topic_is_missing_says_so(stack: Stack) -> None:
    nothing = Names(uuid4().hex[:8])

    with pytest.raises(Misconfigured, match=f"missing \\({nothing.inbox.name}\\)"):
        async with running(stack, nothing, Shelf()):
            pass
