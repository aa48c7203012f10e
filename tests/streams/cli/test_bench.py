from __future__ import annotations

from typing import get_args

from typer.testing import CliRunner

from streams.cli import build
from streams.cli.bench import Variant
from streams.local.bench.hop import Bench
from streams.settings import Settings


def test_a_variant_that_there_is_not_is_refused_before_anything_is_started() -> None:
    asked = CliRunner().invoke(build(), ["bench", "hop", "--only", "theirs"])

    assert asked.exit_code == 2
    assert "our loop" in asked.output


def test_every_variant_of_a_hop_can_be_asked_for() -> None:
    assert set(get_args(Variant)) == Bench(Settings(), 100).variants.keys()
