"""What people are told about a stack: addresses, next steps, state."""

from __future__ import annotations

import asyncio
from typing import Final

from rich.table import Table

from streams.local.stack.hold import Entry
from streams.local.stack.stack import Stack

PATIENCE_S: Final = 10.0
"""A person asks once, maybe on a busy machine; a start asks again and again."""


async def health(entries: list[Entry]) -> list[tuple[Entry, str]]:
    """Ask every process that was written down how it is."""

    async def ask(entry: Entry) -> str:
        if not entry.identity.alive():
            return "not running"
        if entry.probe is None:
            return "running"
        return "ready" if await entry.probe.ready(PATIENCE_S) else "not ready"

    # A step that has ended is no news; one that runs is.
    shown = [entry for entry in entries if entry.probe or entry.identity.alive()]
    return list(zip(shown, await asyncio.gather(*map(ask, shown)), strict=True))


def status_table(rows: list[tuple[Entry, str]]) -> Table:
    """Return the table of `status`."""
    table = Table(box=None, header_style="bold")
    for column in ("part", "pid", "address", "health"):
        table.add_column(column, overflow="fold")
    for entry, state in rows:
        pid = str(entry.identity.pid) if entry.identity.alive() else "-"
        colour = "green" if state in {"ready", "running"} else "red"
        table.add_row(entry.name, pid, entry.address, f"[{colour}]{state}[/]")
    return table


def addresses(stack: Stack) -> Table:
    """Return the table of addresses that `up` ends with."""
    table = Table(box=None, show_header=False)
    for part in stack.parts:
        table.add_row(part.name, part.address)
    for name, variable in stack.plan.replaced.items():
        table.add_row(name, f"yours, from {variable}")
    return table


def next_steps(stack: Stack) -> list[str]:
    """Return what to do with a stack that is up."""
    lines = [f"logs in {stack.home / 'logs'}, data in {stack.home / 'data'}"]
    if "webhook" in stack.names:
        lines += [
            "in another terminal, in this folder:",
            "  whaticket demo                three customers at once, step by step",
            "  whaticket trace --wamid ID    what happened to a message of the demo, and why",
            "  whaticket status              what runs",
        ]
    return [*lines, "Ctrl-C stops everything; data and addresses are kept for the next start"]
