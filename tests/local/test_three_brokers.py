from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, re-exported untyped
    AdminClient,
    ConfigResource,
    ResourceType,
)

from streams.local.load.checker import check
from streams.local.stack import StackOptions
from streams.local.stack.hold import Ledger
from streams.local.stack.process import until
from streams.local.stack.report import health
from streams.local.stack.stack import LEDGER
from tests.local.whole import whole

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def replicas(bootstrap: str) -> dict[str, tuple[set[int], str]]:
    """Replicas of the partitions of every topic, and how many of them must have a record."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = admin.list_topics(timeout=20).topics
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in topics])
    return {
        resource.name: (
            {len(partition.replicas) for partition in topics[resource.name].partitions.values()},
            told.result()["min.insync.replicas"].value,
        )
        for resource, told in asked.items()
    }


async def states(folder: Path) -> dict[str, str]:
    rows = await health(Ledger(folder / LEDGER).read())
    return {entry.name: state for entry, state in rows if not entry.name.startswith("training")}


async def test_three_brokers_keep_every_promise_while_one_of_them_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One stack for all of it: a start takes longer than what is tested."""
    monkeypatch.setenv("WHATICKET_HOME", str(tmp_path))
    options = StackOptions(home=tmp_path, brokers=3, warm=False, without=("api",))
    async with whole(options) as up:
        stack = up.stack
        kept = await asyncio.to_thread(replicas, stack.kafka_bootstrap)
        sender = up.sender(rate=10)
        loading = asyncio.create_task(up.load(sender, 10, 60))
        await until(lambda: len(sender.sent) > 10)
        await stack.kill("kafka-2")
        unsent = 60 - len(sender.sent)
        loaded = await loading
        away = await states(tmp_path)
        await stack.start("kafka-2")
        back = await states(tmp_path)

    assert "__consumer_offsets" in kept
    assert "whaticket.dispatch.changelog" in kept
    assert set(map(str, kept.values())) == {"({3}, '2')"}
    assert unsent > 0, "it was killed after the load"
    assert check(loaded.known) == []
    assert loaded.known.accepted
    assert {name for name, state in away.items() if state != "ready"} == {"kafka-2"}
    assert away["kafka-2"] == "not running"
    assert set(back.values()) == {"ready"}
