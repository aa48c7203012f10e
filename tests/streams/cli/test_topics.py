from __future__ import annotations

from typer.testing import CliRunner

from streams.cli import build


def test_the_list_of_topics_says_how_long_each_keeps_its_records() -> None:
    shown = CliRunner().invoke(build(), ["topics", "list"])

    rows = {name: kept for name, _, _, kept, _ in map(_cells, shown.output.splitlines())}
    assert shown.exit_code == 0
    assert rows["inbox.message.received"] == "30 days"
    assert rows["tools.call.requested"] == "14 days"
    assert rows["whaticket.dispatch.changelog"] == "newest of a key"


def _cells(row: str) -> list[str]:
    return row.split("\t")
