from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from schemas.errors import Misconfigured
from streams.cli import build
from streams.cli.bench import Variant
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
