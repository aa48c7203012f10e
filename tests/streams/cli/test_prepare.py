from __future__ import annotations

from importlib import import_module

import pytest

from schemas.topics import STATEFUL_STAGES
from streams.cli.prepare import LOADED, LOADED_BY, modules
from tests.streams.cli.conftest import CommandLine


def test_what_a_held_command_loads_is_there() -> None:
    found = {module for command in LOADED for module in modules(command)}

    assert {import_module(module).__name__ for module in found} == found
    assert set(LOADED_BY) < {*STATEFUL_STAGES, "memory", "transcripts"}


def test_a_worker_of_some_stages_loads_what_they_need() -> None:
    assert set(modules("worker")) == {*LOADED["worker"], *LOADED_BY.values()}
    assert set(modules("worker", "ai")) == {*LOADED["worker"], LOADED_BY["ai"]}
    assert set(modules("worker", "tools")) == set(LOADED["worker"])
    assert set(modules("keys")) == set()


@pytest.mark.integration
async def test_a_held_command_runs_when_its_input_ends(whaticket: CommandLine) -> None:
    status, said = await whaticket.run("hold", "topics", "list")

    assert status == 0
    assert "inbox.message.received" in said


@pytest.mark.integration
async def test_what_is_prepared_is_prepared_once(whaticket: CommandLine) -> None:
    first = await whaticket.run("prepare", "--layout", "all-in-one")
    second = await whaticket.run("prepare", "--layout", "all-in-one")

    assert (first[0], second[0]) == (0, 0)
    assert "tenant demo: settings version" in first[1]
    for line in (
        "topics and schemas: 0 put right",
        "tables: 0 migrations",
        "0 new passages",
        "offsets: 0 moved to all-in-one",
    ):
        assert line in second[1]
