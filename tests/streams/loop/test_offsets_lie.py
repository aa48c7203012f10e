"""Offsets that lie: logs that are not the ones of the table, lost offsets, offsets set back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, re-exported untyped
    AdminClient,
    NewPartitions,
)
from faust.types import TP
from msgspec import structs

from schemas.errors import Misconfigured
from streams.consumer.positions import Positions
from streams.kafka.groups import Groups
from streams.kafka.partitioner import home
from streams.kafka.publish import Record
from streams.local.stack import Stack
from streams.state.controls import Owner
from streams.state.lineage import check_counts
from streams.state.proof import Proof
from streams.state.records import UNMARKED, Entry, Head, applying, checksum_of
from tests.streams.loop.fakes import FakeMessage, FakeTable
from tests.streams.loop.harness import (
    PARTITIONS,
    everything,
    lag,
    post,
    publish,
    publishing,
    toys,
    until,
)
from tests.streams.loop.toy import Names, received

PLACE = TP("t", 0)
CONVERSATIONS = 12


def record(offset: int, value: bytes = b"v") -> Any:
    return FakeMessage("t", offset, b"k", value)


def test_the_last_record_that_was_applied_is_read_again_but_not_delivered() -> None:
    positions = Positions()
    positions.set([PLACE], {PLACE: 10}, {PLACE: 0}, {PLACE: Proof(7, checksum_of(b"v"))})
    assert positions.read == {PLACE: 7}

    assert [positions.delivers(record(n)) for n in range(7, 12)] == [False] * 3 + [True] * 2


def test_another_record_at_its_offset_is_refused() -> None:
    positions = Positions()
    positions.set([PLACE], {PLACE: 5}, {PLACE: 0}, {PLACE: Proof(7, checksum_of(b"other"))})
    assert positions.read == {PLACE: 5}
    assert positions.delivers(record(5))

    with pytest.raises(Misconfigured, match="partition 0 has another record at offset 7"):
        positions.delivers(record(7))


def test_a_record_that_retention_deleted_proves_nothing() -> None:
    positions = Positions()
    positions.set([PLACE], {PLACE: 10}, {PLACE: 8}, {PLACE: Proof(7, 1)})

    assert (positions.read, positions.proofs) == ({PLACE: 10}, {})


def test_a_table_knows_the_checksum_of_the_last_event_of_each_topic() -> None:
    table = FakeTable()
    applied, marks = applying(None, "m", 4, 40)
    head = Head(1, applied, ("m", 4), 1, None, 0, marks=marks)
    applied, marks = applying(head, "t", 9, 90)

    table.apply([(b"k", Entry(b"{}", applied, marks=marks).dumps(), 2)])

    assert (table.ends, table.proofs) == (
        {TP("m", 2): 4, TP("t", 2): 9},
        {TP("m", 2): 40, TP("t", 2): 90},
    )


def test_a_value_from_before_there_were_checksums_proves_nothing() -> None:
    applied, marks = applying(Head(1, {"m": 3}, ("m", 3), 1, None, 0), "t", 9, 90)

    assert (applied, marks) == ({"m": 3, "t": 9}, (UNMARKED, 90))


def test_topics_that_grew_since_a_table_was_made_are_refused() -> None:
    table = FakeTable()
    table.owners = {0: Owner(1, {}), 1: Owner(1, {}, 12)}

    check_counts(table, 12)
    with pytest.raises(Misconfigured, match="had 12 partitions and now have 48"):
        check_counts(table, 48)


async def said(bootstrap: str, names: Names) -> list[bytes]:
    return [record.key + record.value for record in await everything(bootstrap, names.said.name)]


async def heard(bootstrap: str, names: Names, count: int) -> None:
    async def complete() -> bool:
        return len(set(await said(bootstrap, names))) == count

    await until(complete, f"{count} answers")


async def idle(bootstrap: str, names: Names, topics: Iterable[str]) -> None:
    async def nothing_left() -> bool:
        return not any([await lag(bootstrap, names.group, topic) for topic in topics])

    await until(nothing_left, "no lag")


@pytest.mark.integration
async def test_a_table_of_another_log_refuses_the_start(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    changelog = f"whaticket.{names.talk}.changelog"
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        first = await start("first")
        await publish(publisher, *(received(names, 0, n) for n in range(5)))
        await heard(bootstrap, names, 5)
        assert await first.stop() == 0
        kept = [r for r in await everything(bootstrap, changelog) if r.key == b"conv_0"][-1]
        entry = Entry.loads(kept.value)
        foreign = structs.replace(entry, marks=tuple(mark ^ 1 for mark in entry.marks))
        await post(publisher, Record(changelog, b"conv_0", foreign.dumps()), kept.partition)

        second = await start("second")

        assert await asyncio.wait_for(second.process.wait(), 60) == 1
        (crashed,) = second.said("worker.crashed")
        assert "has another record at offset" in crashed["error"]


@pytest.mark.integration
async def test_offsets_that_retention_deleted_are_told_and_reading_goes_on(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    partition = home(b"conv_0", PARTITIONS)
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        first = await start("first")
        await publish(publisher, *(received(names, 0, n) for n in range(5)))
        await heard(bootstrap, names, 5)
        await idle(bootstrap, names, [names.inbox.name])
        assert await first.stop() == 0
        await publish(publisher, *(received(names, 0, n) for n in range(5, 15)))
        admin = AdminClient({"bootstrap.servers": bootstrap})
        deleted = [TopicPartition(names.inbox.name, partition, 12)]
        for future in admin.delete_records(deleted).values():
            future.result()

        second = await start("second")

        await heard(bootstrap, names, 8)
        await idle(bootstrap, names, [names.inbox.name])
        (lost,) = second.said("offsets.lost")
        place = (lost["topic"], lost["partition"])
        assert place == (names.inbox.name, partition)
        assert (lost["first"], lost["last"], lost["count"], lost["level"]) == (5, 11, 7, "error")
        assert await second.metric("offsets_lost_total", stream=names.inbox.name) == 7
        assert await second.metric("audit_skipped_offsets_total") == 0


@pytest.mark.integration
async def test_offsets_set_back_to_the_beginning_cause_no_new_effect(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    inputs = [topic.name for topic in (names.inbox, names.asked, names.answered)]
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        first = await start("first", settings={"static_membership": False})
        await publish(
            publisher, *(received(names, c, n) for n in range(10) for c in range(CONVERSATIONS))
        )
        await heard(bootstrap, names, 10 * CONVERSATIONS)
        await idle(bootstrap, names, inputs)
        assert await first.stop() == 0
        before = await said(bootstrap, names)
        states = len(await everything(bootstrap, f"whaticket.{names.think}.changelog"))
        places = [
            TopicPartition(topic, number, 0) for topic in inputs for number in range(PARTITIONS)
        ]
        await asyncio.to_thread(Groups(bootstrap).commit, names.group, places)

        second = await start("second")
        await second.ready()
        await idle(bootstrap, names, inputs)

        after = await said(bootstrap, names)
        assert set(after) == set(before)
        assert len(await everything(bootstrap, f"whaticket.{names.think}.changelog")) == (
            states + PARTITIONS  # only the new owner's control records
        )
        assert await second.metric("events_skipped_total") > 0
        assert await second.metric("audit_skipped_offsets_total") == 0


@pytest.mark.integration
async def test_topics_that_grow_end_the_worker_and_refuse_the_next_start(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    admin = AdminClient({"bootstrap.servers": bootstrap})
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        worker = await start("one")
        await publish(publisher, *(received(names, c, 0) for c in range(CONVERSATIONS)))
        await heard(bootstrap, names, CONVERSATIONS)
        stages = (names.talk, names.think)
        grown = [topic.name for topic in names.all()]
        grown += [f"whaticket.{stage}.changelog" for stage in stages]
        for future in admin.create_partitions([NewPartitions(t, 8) for t in grown]).values():
            future.result()

        assert await asyncio.wait_for(worker.process.wait(), 60) == 1
        (crashed,) = worker.said("worker.crashed")
        assert "had 4 partitions and now have 8" in crashed["error"]

        await publish(publisher, *(received(names, c, 1) for c in range(CONVERSATIONS)))
        moved = [r for r in await everything(bootstrap, names.inbox.name) if r.partition > 3]
        assert moved == []  # a writer that was there before keeps every key where it was

        for number, settings in enumerate(({}, {"topic_partitions": 8})):
            again = await start(f"again-{number}", settings=settings)
            assert await asyncio.wait_for(again.process.wait(), 60) == 1
            (crashed,) = again.said("worker.crashed")
            assert "had 4 partitions and now have 8" in crashed["error"]
