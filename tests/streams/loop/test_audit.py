"""The auditor on a real broker: silent when all is right, loud when a commit would skip."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from streams.kafka.partitioner import home
from streams.kafka.publish import record_of
from streams.local.stack import Stack
from tests.streams.loop.harness import (
    PARTITIONS,
    lag,
    publish,
    publishing,
    toys,
    until,
)
from tests.streams.loop.toy import JsonCodec, Names, received

pytestmark = pytest.mark.integration

SKIPPED = "audit_skipped_offsets_total"
AUDITED = "audit_offsets_total"


async def test_a_planted_commit_past_a_hole_is_caught_and_refused(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        worker = await start("planted", planted="hole")
        await publish(publisher, received(names, 0, 0, "wait 60"))
        await publish(publisher, *(received(names, c, n) for n in range(5) for c in range(1, 30)))

        def caught() -> bool:
            return any(
                (told["topic"], told["partition"], told["first"], told["level"])
                == (names.inbox.name, home(b"conv_0", PARTITIONS), 0, "error")
                for told in worker.said("audit.skipped")
            )

        await until(caught, "the alarm")
        assert await worker.metric(SKIPPED, stream=names.inbox.name) > 0

        async def others_committed() -> bool:
            return bool(await worker.metric(AUDITED, stream=names.inbox.name) > 0)

        await until(others_committed, "commits of other partitions")
        assert await lag(bootstrap, names.group, names.inbox.name) > 0


async def test_every_committed_offset_was_audited(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        worker = await start("one")
        await publish(publisher, *(received(names, c, n) for n in range(10) for c in range(20)))

        async def audited() -> bool:
            return bool(await worker.metric(AUDITED, stream=names.answered.name) == 200)

        await until(audited, "everything committed")
        assert await worker.metric(AUDITED, stream=names.inbox.name) == 200
        assert await worker.metric(SKIPPED) == 0
        assert await worker.stop() == 0
        assert worker.said("audit.unvouched") == []


async def test_markers_of_transactions_are_no_holes(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap, codec = stack.kafka_bootstrap, JsonCodec()
    writer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=names.run)
    await writer.start()
    for number in range(6):
        async with writer.transaction():
            for conversation in range(8):
                record = record_of(received(names, conversation, number), codec)
                await writer.send(record.topic, record.value, record.key)
    await writer.stop()
    async with toys(bootstrap, names, tmp_path) as start:
        worker = await start("one")

        async def read() -> bool:
            audited = await worker.metric(AUDITED, stream=names.inbox.name)
            return audited > 48 and await lag(bootstrap, names.group, names.inbox.name) == 0

        await until(read, "everything read, the last markers too")
        assert await worker.metric(SKIPPED) == 0
