from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from schemas.changing import replace
from schemas.topics import STATEFUL_STAGES
from streams.kafka.groups import Groups
from streams.local.load.checker import check
from streams.local.stack import StackOptions
from tests.local.whole import whole

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def assigned(bootstrap: str, groups: list[str]) -> dict[str, dict[str, Counter[str]]]:
    """How many partitions of each topic every member of each group has."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    return {
        group: {
            member.client_id: Counter(tp.topic for tp in member.assignment.topic_partitions)
            for member in told.result(20).members
        }
        for group, told in admin.describe_consumer_groups(groups).items()
    }


async def test_two_workers_of_each_stage_share_the_work_and_one_goes_on_where_they_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One folder for both: a start takes longer than what is tested."""
    monkeypatch.setenv("WHATICKET_HOME", str(tmp_path))
    options = StackOptions(home=tmp_path, layout="split", workers=2, warm=False, without=("api",))
    stages = [*STATEFUL_STAGES, "memory", "transcripts"]
    async with whole(options) as up:
        loaded = await up.load(up.sender(rate=10), 10, 60)
        groups = [f"whaticket.{stage}" for stage in stages]
        shares = await asyncio.to_thread(assigned, up.stack.kafka_bootstrap, groups)
    async with whole(replace(options, layout="all-in-one", workers=1)) as up:
        there = await asyncio.to_thread(Groups(up.stack.kafka_bootstrap).names)
        again = await up.load(up.sender(rate=10), 5, 20)

    half = up.current.topic_partitions // 2
    for stage, group in zip(stages, groups, strict=True):
        members = shares[group]
        assert set(members) == {f"{group}.worker-{stage}", f"{group}.worker-{stage}-2"}
        assert {count for topics in members.values() for count in topics.values()} == {half}
    assert check(loaded.known) == check(again.known) == []
    assert loaded.known.accepted
    assert there == {"whaticket.pipeline", "whaticket.memory", "whaticket.transcripts"}
