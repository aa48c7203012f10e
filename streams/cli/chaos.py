"""Commands: chaos."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.stack import LayoutChoice

if TYPE_CHECKING:  # commands import what they run
    from streams.local.chaos.command import Told
    from streams.local.chaos.course import Run


def chaos(  # noqa: PLR0913 - the options of a command
    *,
    seed: int = typer.Option(1, help="Workload and faults follow from it."),
    faults: str = typer.Option("F1", help="Names of faults, with commas; --list shows them."),
    layout: Annotated[
        LayoutChoice, typer.Option(help="One worker for each stage, or one.")
    ] = LayoutChoice.SPLIT,
    conversations: int = typer.Option(150, min=1, max=9_999, help="Customers."),
    messages: int = typer.Option(1200, min=10, help="Messages in all."),
    rate: float = typer.Option(30.0, min=1, help="Messages a second, on average."),
    minutes: float = typer.Option(0.0, min=0, help="How long to send; instead of --messages."),
    hot: float = typer.Option(
        0.0, min=0, max=0.9, help="Share of the messages that one customer writes."
    ),
    patience: float = typer.Option(180.0, min=1, help="Seconds to wait after sending."),
    check: Annotated[
        list[Path] | None, typer.Option(help="Judge these histories again; nothing is started.")
    ] = None,
    short: bool = typer.Option(False, "--short", help="The runs of CI, instead of one."),
    every: bool = typer.Option(False, "--all", help="Every fault and mixture, three seeds each."),
    table: Annotated[Path | None, typer.Option(help="Write a table of the runs there.")] = None,
    listed: bool = typer.Option(False, "--list", help="Show the faults."),
) -> None:
    """Let faults happen while customers write, and check every promise.

    Starts stacks of its own, below the folder `chaos` of WHATICKET_HOME, and stops them again.
    Exit status 1 when a promise is broken, or when a planned fault did not really happen.
    """
    from streams.local.chaos.command import judged
    from streams.local.chaos.course import Run
    from streams.local.chaos.runs import all_runs, short_runs

    if listed:
        _list()
        return
    one = Run(
        seed=seed,
        faults=tuple(name for name in faults.split(",") if name),
        layout=layout.value,
        conversations=conversations,
        messages=round(minutes * 60 * rate) or messages,
        rate=rate,
        hot=hot,
        patience_s=patience,
    )
    runs = all_runs(seed) if every else short_runs(seed) if short else [one]
    if check:
        _end([_say(judged(path)) for path in check], table)
    else:
        _end(*_played(runs, table))


def _list() -> None:
    from streams.local.chaos.catalogue import FAULTS

    for name, kind in FAULTS.items():
        typer.echo(f"{name}\t{kind.what}")


def _played(runs: Iterable[Run], table: Path | None) -> tuple[list[Told], Path | None, int]:
    """Play runs; say of each one at once what came of it."""
    import asyncio

    from streams.local.chaos.command import Spoiled, series
    from streams.logs import configure
    from streams.settings import home

    configure("error", service="chaos")
    told: list[Told] = []
    spoiled = 0

    async def play() -> None:
        nonlocal spoiled
        played = series(home() / "chaos", list(runs), lambda line: typer.echo(line, err=True))
        async for done in played:
            if isinstance(done, Spoiled):
                spoiled += 1
                typer.echo(f"NO END: {done.run.command}: {done.why}")
            else:
                told.append(_say(done))

    asyncio.run(play())
    return told, table, spoiled


def _say(done: Told) -> Told:
    from streams.local.chaos.verdict import lines

    for line in lines(done.story, done.verdict):
        typer.echo(line)
    typer.echo(f"history: {done.path}")
    return done


def _end(told: list[Told], table: Path | None, spoiled: int = 0) -> None:
    from streams.local.chaos.table import rendered

    if table is not None and not told:
        typer.echo(f"no run came to its end: {table} is left as it is", err=True)
    elif table is not None:
        table.write_text(rendered([(each.story, each.verdict) for each in told]), "utf-8")
    bad = sum(not each.verdict.good for each in told) + spoiled
    if len(told) + spoiled > 1:
        typer.echo(f"{len(told) + spoiled} runs, {bad} that are not good")
    if bad:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(chaos)
