"""Commands: bench."""

from __future__ import annotations

from typing import Annotated

import typer

Events = Annotated[int, typer.Option(min=100, help="Records that each variant relays.")]
Only = Annotated[str, typer.Option(help="Name of the only variant to measure.")]
Conversations = Annotated[int, typer.Option(min=1, max=10_000, help="Conversations that wait.")]
Seconds = Annotated[float, typer.Option(min=1, help="How long the model takes.")]
Stopped = Annotated[int, typer.Option(min=1, help="Calls that are open at the SIGTERM.")]


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    group = typer.Typer(no_args_is_help=True, help="Measure; figures are in docs/benchmarks.md.")
    group.command()(hop)
    group.command()(waiting)
    app.add_typer(group, name="bench")


def hop(events: Events = 10000, only: Only = "") -> None:
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


def waiting(
    conversations: Conversations = 10_000, seconds: Seconds = 60.0, stopped: Stopped = 1000
) -> None:
    """Let thousands of conversations wait for a slow model at once, on one AI worker.

    Starts a stack of its own and stops it again; takes about six times SECONDS.
    """
    import uvloop

    from streams.local.bench.waiting import Asked, waiting
    from streams.logs import configure
    from streams.settings import home

    configure("error", service="bench")
    asked = Asked(
        home=home() / "bench-waiting",
        conversations=conversations,
        seconds=seconds,
        stopped=stopped,
    )
    for line in uvloop.run(waiting(asked, lambda *_: None)):
        typer.echo(line)
