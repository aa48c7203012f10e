"""The seat of a sink on a real broker: audited as a worker's is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from schemas.errors import Misconfigured
from streams.ledger import Ledger
from streams.local.stack import Stack
from streams.metrics import AUDITED, SKIPPED_OFFSETS
from streams.publish import record_of
from streams.sinking import SinkRunner
from tests.streams.loop.harness import create, lag, publish, publishing, until
from tests.streams.loop.shelf import Shelf, group_of, sink_of
from tests.streams.loop.toy import JsonCodec, Names, received

pytestmark = pytest.mark.integration


@pytest.fixture
def names(stack: Stack) -> Names:
    found = Names(uuid4().hex[:8])
    create(stack.kafka_bootstrap, found)
    return found


@asynccontextmanager
async def running(
    stack: Stack, names: Names, shelf: Shelf, **settings: Any
) -> AsyncIterator[SinkRunner]:
    async with publishing(stack.kafka_bootstrap) as publisher:
        sink = sink_of(shelf, names, publisher, stack.kafka_bootstrap, **settings)
        try:
            await sink.start()
            yield sink
        finally:
            await sink.stop()


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


async def test_a_sink_whose_topic_is_missing_says_so(stack: Stack) -> None:
    nothing = Names(uuid4().hex[:8])

    with pytest.raises(Misconfigured, match=f"missing \\({nothing.inbox.name}\\)"):
        async with running(stack, nothing, Shelf()):
            pass
