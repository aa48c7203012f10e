from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console
from typer.testing import CliRunner

from schemas.errors import Misconfigured
from streams.cli import build
from streams.cli.bench import Variant, _compared
from streams.local.bench.figure import Figure
from streams.local.bench.hop import Bench
from streams.settings import Settings


def test_a_variant_that_there_is_not_is_refused_before_anything_is_started() -> None:
    asked = CliRunner().invoke(build(), ["bench", "hop", "--only", "theirs"])

    assert asked.exit_code == 2
    assert "our loop" in asked.output


@pytest.mark.parametrize("bench", ["pipeline", "chain"])
def test_rates_that_are_no_numbers_are_refused_before_anything_is_started(
    bench: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHATICKET_HOME", str(tmp_path / "home"))

    asked = CliRunner().invoke(build(), ["bench", bench, "--rates", "20,fast"])

    assert isinstance(asked.exception, Misconfigured)
    assert not (tmp_path / "home").exists()


def test_every_variant_of_a_hop_can_be_asked_for() -> None:
    assert set(get_args(Variant)) == Bench(Settings(), 100).variants.keys()


def test_a_variant_is_compared_by_its_middle_turn(capsys: pytest.CaptureFixture[str]) -> None:
    turns = {
        "plain aiokafka loop": (8, 10, 90),
        "Faust with a table": (1, 2, 9),
        "our loop": (6, 5, 7),
    }
    figures = [
        Figure(variant=name, events=rate * 1000, seconds=1.0, cpu_us=float(rate))
        for name, rates in turns.items()
        for rate in rates
    ]

    Console(width=120).print(_compared(figures))

    (ours,) = [line for line in capsys.readouterr().out.splitlines() if "our loop" in line]
    cells = [cell.strip() for cell in ours.split("│")[1:-1]]
    assert cells == ["our loop", "6,000", "6,000 5,000 7,000", "6", "0.60", "3.00"]


def test_a_variant_by_itself_is_compared_with_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    alone = Figure(variant="our loop", events=1000, seconds=2.0, cpu_us=150.0)

    Console(width=120).print(_compared([alone]))

    (row,) = [line for line in capsys.readouterr().out.splitlines() if "our loop" in line]
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "our loop",
        "500",
        "500",
        "150",
        "-",
        "-",
    ]
