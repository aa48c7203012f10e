from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import Misconfigured, Unavailable
from streams.local.chaos import command
from streams.local.chaos.command import Shape, Spoiled, Told, series
from streams.local.chaos.course import Run
from streams.local.chaos.facts import Fact
from tests.local.chaos.runs import Run as Sample


def run(seed: int, *faults: str, layout: str = "all-in-one") -> Run:
    return Run(seed=seed, faults=faults, layout=layout, conversations=1, messages=10, rate=1.0)


class Playing:
    """A course that plays the sample; the run of one seed comes to no end."""

    def __init__(self, bad: int) -> None:
        self.bad = bad

    def say(self, line: str) -> None:
        pass

    async def run(self, asked: Run) -> list[Fact]:
        if asked.seed == self.bad:
            raise Unavailable("kafka")
        return Sample.well().facts()


async def played(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    runs: list[Run],
    *,
    bad: int = 0,
    back: bool = True,
    broken: int = 0,
) -> tuple[list[Told | Spoiled], list[str]]:
    """Play runs on invented stacks; return what came of them, and the stacks in their order."""
    stacks: list[str] = []

    @asynccontextmanager
    async def standing(_: Path, shape: Shape, __: Any) -> AsyncIterator[Playing]:
        stacks.append(shape.folder)
        if len(stacks) <= broken:
            raise Unavailable("kafka")
        yield Playing(bad)

    async def recovered(_: Any) -> bool:
        return back

    monkeypatch.setattr(command, "standing", standing)
    monkeypatch.setattr(command, "recovered", recovered)
    return [done async for done in series(folder, runs, lambda _: None)], stacks


async def test_runs_that_need_the_same_stack_share_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [run(1, "F1"), run(2, "F4"), run(3, "F7"), run(4, "F1", layout="split")]

    told, stacks = await played(tmp_path, monkeypatch, runs)

    assert stacks == ["all-in-one-1b-1w", "all-in-one-3b-1w", "split-1b-1w"]
    assert [isinstance(each, Told) for each in told] == [True] * 4
    assert {path.name for path in (tmp_path / "histories").iterdir()} == {
        "F1-all-in-one-1b-1w-1.jsonl",
        "F7-all-in-one-1b-1w-3.jsonl",
        "F4-all-in-one-3b-1w-2.jsonl",
        "F1-split-1b-1w-4.jsonl",
    }


async def test_a_fault_that_there_is_not_is_refused_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Misconfigured, match="no such fault: F99; there are F1, "):
        await played(tmp_path, monkeypatch, [run(1, "F1"), run(2, "F99")])

    assert not (tmp_path / "histories").exists()


async def test_a_part_of_the_environment_is_refused_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_DSN", "postgresql://postgres.example/whaticket")
    told: list[str] = []

    with pytest.raises(Misconfigured, match="unset POSTGRES_DSN"):
        _ = [done async for done in series(tmp_path, [run(1, "F1")], told.append)]

    assert told == []


async def test_a_run_without_an_end_is_told_and_the_next_gets_another_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [run(1, "F1"), run(2, "F1"), run(3, "F1")]

    kept = tmp_path / "stacks" / "all-in-one-1b-1w" / "what the run left"
    kept.mkdir(parents=True)

    told, stacks = await played(tmp_path, monkeypatch, runs, bad=2)

    assert [isinstance(each, Spoiled) for each in told] == [False, True, False]
    assert not kept.exists()
    assert isinstance(told[1], Spoiled)
    assert (told[1].run.seed, told[1].why) == (2, "kafka is not available")
    assert len(stacks) == 2


@pytest.mark.parametrize(("broken", "good"), [(2, [True, True]), (3, [False, True])])
async def test_a_stack_that_does_not_start_is_started_again_before_its_run_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: int, good: list[bool]
) -> None:
    runs = [run(1, "F1"), run(2, "F1")]

    told, stacks = await played(tmp_path, monkeypatch, runs, broken=broken)

    assert [isinstance(each, Told) for each in told] == good
    assert len(stacks) == broken + 1


async def test_a_stack_that_does_not_come_back_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, stacks = await played(tmp_path, monkeypatch, [run(1, "F1"), run(2, "F1")], back=False)

    assert [isinstance(each, Told) for each in told] == [True, True]
    assert len(stacks) == 2


async def test_a_stack_whose_topics_grew_is_used_by_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [run(1, "F12"), run(2, "F12"), run(3, "F1")]

    _, stacks = await played(tmp_path, monkeypatch, runs)

    assert stacks == ["all-in-one-1b-1w", *["all-in-one-1b-1w-wasted"] * 2]
