"""What a table shows of ids: all of them, on a narrow terminal and in a pipe."""

from __future__ import annotations

import io
import sys

import pytest

from streams.cli.dlqtext import COLUMNS
from streams.cli.topics import show_table

ID = "conv_da580e75bcb04838984fac6a2bb635ba"
LETTER = "inbox.message.received.dlq[10]@0"
ROW = ("dispatch", ID, "1", "waiting", "bug", "5", "2026-11-26T07:55:55+00:00", LETTER)


class Terminal(io.StringIO):
    """A terminal, or a pipe."""

    def __init__(self, *, tty: bool) -> None:
        super().__init__()
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty


def shown(
    monkeypatch: pytest.MonkeyPatch, rows: list[tuple[str, ...]], *, tty: bool = True
) -> list[str]:
    """Return the lines of a table on a terminal of 80 columns."""
    terminal = Terminal(tty=tty)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    show_table(COLUMNS[: len(rows[0])], rows)
    return terminal.getvalue().splitlines()


def test_no_id_is_cut_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    head, line = shown(monkeypatch, [ROW])

    assert head.split() == list(COLUMNS)
    assert line.split() == list(ROW)


def test_words_of_a_narrow_table_are_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, [("dispatch", "a word " * 40)])

    assert len(lines) > 2
    assert all(len(line) <= 80 for line in lines)


def test_a_pipe_gets_a_line_for_each_row_with_tabs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, [ROW], tty=False) == ["\t".join(ROW)]
