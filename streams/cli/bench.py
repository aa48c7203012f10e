"""Commands: bench."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(bench)


def bench(
    events: Annotated[int, typer.Option(min=100, help="Records that each variant relays.")] = 10000,
) -> None:
    """Measure one hop of the loop against a plain relay and against Faust with a table.

    Uses the stack of this folder when it is up; else starts one and stops it again.
    """
    import uvloop
    from rich.console import Console
    from rich.table import Table

    from streams.interpreter import prepare
    from streams.local.bench.hop import Bench, Figure
    from streams.local.outside import standing
    from streams.logs import configure
    from streams.settings import home

    configure("error", service="bench")
    prepare()

    async def measured() -> list[Figure]:
        async with standing(home(), lambda *_: None) as current:
            return await Bench(current, events).measure()

    figures = uvloop.run(measured())
    yardstick = figures[0].per_second
    table = Table("variant", "events", "events/s", "CPU µs/event", "of the plain relay")
    for figure in figures:
        table.add_row(
            figure.variant,
            str(figure.events),
            f"{figure.per_second:,.0f}",
            f"{figure.cpu_us:,.0f}",
            f"{figure.per_second / yardstick:.2f}",
        )
    Console().print(table)
