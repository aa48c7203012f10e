"""Show how a start goes: a table that changes in a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

STYLES = {"ready": "green", "done": "green"}


class Board:
    """Collects one line per part; call it with a part's name and a line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: dict[str, str] = {}
        self._live = Live(console=console, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __call__(self, name: str, line: str) -> None:
        """Show the newest line of a part."""
        self._lines[name] = line
        if self._live and self._live.is_started and "\n" not in line:
            self._live.update(self._table())
        else:
            self._console.print(Text(f"{name:<12} {line}"), soft_wrap=True)

    def close(self) -> None:
        """Stop changing the terminal; later lines are plain."""
        if self._live and self._live.is_started:
            self._live.stop()

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, line in self._lines.items():
            table.add_row(Text(name), Text(line, style=STYLES.get(line, "yellow")))
        return table
