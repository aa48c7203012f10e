"""Commands: bench."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(bench)


def bench(
    events: Annotated[int, typer.Option(min=100, help="Records that each variant relays.")] = 10000,
    only: Annotated[str, typer.Option(help="Name of the only variant to measure.")] = "",
) -> None:
    """Measure one hop of the loop, all protections on, against others that do the same work.

    Uses the stack of this folder when it is up; else starts one and stops it again.
    """
    import uvloop
    from rich.console import Console
    from rich.table import Table

    from streams.interpreter import prepare
    from streams.local.bench.figure import Figure
    from streams.local.bench.hop import Bench
    from streams.local.outside import standing
    from streams.logs import configure
    from streams.settings import home

    configure("error", service="bench")
    prepare()

    async def measured() -> list[Figure]:
        async with standing(home(), lambda *_: None) as current:
            return await Bench(current, events).measure(only)

    figures = uvloop.run(measured())
    plain = {figure.variant: figure.per_second for figure in figures}.get("plain aiokafka loop")
    table = Table("variant", "events", "events/s", "CPU µs/event", "of the plain loop")
    for figure in figures:
        table.add_row(
            figure.variant,
            str(figure.events),
            f"{figure.per_second:,.0f}",
            f"{figure.cpu_us:,.0f}",
            f"{figure.per_second / plain:.2f}" if plain else "-",
        )
    Console().print(table)
