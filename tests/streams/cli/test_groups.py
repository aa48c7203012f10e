from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import TopicPartition

from schemas.topics import MESSAGE_RECEIVED
from streams.kafka.groups import Groups
from streams.settings import Settings
from tests.streams.cli.conftest import CommandLine

pytestmark = pytest.mark.integration


async def test_offsets_move_only_when_that_is_asked_for(
    whaticket: CommandLine, provisioned: Settings
) -> None:
    groups = Groups(provisioned.kafka_bootstrap)
    at = [TopicPartition(MESSAGE_RECEIVED.name, 0, 5), TopicPartition(MESSAGE_RECEIVED.name, 1, 2)]
    await asyncio.to_thread(groups.commit, "whaticket.pipeline", at)
    move = ("groups", "move", "--to", "split")
    line = "whaticket.pipeline -> whaticket.dispatch: inbox.message.received, 2 partitions, 0 -> 7"

    try:
        shown = await whaticket.run(*move)
        untouched = groups.names()
        moved = await whaticket.run(*move, "--execute")
        again = await whaticket.run(*move, "--execute")
        offsets = {(tp.partition, tp.offset) for tp in groups.committed("whaticket.dispatch")}
    finally:
        groups.delete(["whaticket.dispatch"])

    assert shown[0] == moved[0] == again[0] == 0
    assert shown[1].startswith(line)
    assert shown[1].endswith("Run with --execute.\n")
    assert "whaticket.dispatch" not in untouched
    assert moved[1].endswith("2 offsets moved to split; deleted: whaticket.pipeline.\n")
    assert again[1] == "Nothing to move: split is as far as the other layout.\n"
    assert offsets == {(0, 5), (1, 2)}


@pytest.mark.usefixtures("provisioned")
async def test_a_worker_that_is_in_no_group_needs_no_dismissal(whaticket: CommandLine) -> None:
    status, said = await whaticket.run("groups", "dismiss", "nobody-1")

    assert (status, said.count("\n")) == (0, 1)
    assert said.startswith("not in any group: nobody-1; there: ")


async def test_a_layout_that_there_is_not_is_refused(whaticket: CommandLine) -> None:
    status, said = await whaticket.run("groups", "move", "--to", "each-alone")

    assert status == 2
    assert "all-in-one" in said
