"""The table of runs is written of runs that came to an end, and of nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams import logs
from streams.cli import build
from streams.local.chaos import command
from streams.local.chaos.command import Spoiled, Told
from streams.local.chaos.course import Run
from streams.local.chaos.story import story
from streams.local.chaos.verdict import judge
from tests.local.chaos.runs import Run as Sample


def play(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, table: Path, *ends: bool
) -> tuple[int, str]:
    """Let runs end, or not; return the exit status and what was written."""

    async def series(_: Path, asked: list[Run], __: object) -> AsyncIterator[Told | Spoiled]:
        for end in ends:
            if end:
                seen = story(Sample.well().facts())
                yield Told(path=tmp_path / "a history", story=seen, verdict=judge(seen))
            else:
                yield Spoiled(run=asked[0], why="kafka is not available")

    monkeypatch.setenv("WHATICKET_HOME", str(tmp_path))
    monkeypatch.setattr(command, "series", series)
    monkeypatch.setattr(logs, "configure", lambda *_, **__: None)  # it would be that of all tests
    done = CliRunner().invoke(build(), ["chaos", "--table", str(table)])
    return done.exit_code, done.output


def test_no_table_is_written_when_no_run_came_to_its_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "runs.md"
    table.write_text("the table of yesterday")

    code, said = play(monkeypatch, tmp_path, table, False, False)

    assert (code, table.read_text()) == (1, "the table of yesterday")
    assert "no run came to its end" in said


def test_runs_that_came_to_their_end_are_in_the_table_though_others_did_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "runs.md"

    code, said = play(monkeypatch, tmp_path, table, True, False)

    assert code == 1
    assert "2 runs, 1 that are not good" in said
    assert "| F1 | 1 |" in table.read_text()
