"""Commands: chaos."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def chaos(
    layout: Annotated[
        Literal["split", "all-in-one"], typer.Option(help="One worker for each stage, or one.")
    ] = "split",
    conversations: Annotated[int, typer.Option(min=1, max=10_000, help="Customers.")] = 200,
    messages: Annotated[int, typer.Option(min=10, help="Messages in all.")] = 2000,
    rate: Annotated[float, typer.Option(min=1, help="Messages a second.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Kinds and texts follow from it.")] = 1,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to wait after sending.")] = 180.0,
) -> None:
    """Kill -9 every process of ours once while a load runs, and check every promise.

    Starts a stack of its own and stops it again. Exit status 1 when a promise is broken, or when
    a planned fault did not happen.
    """
    import asyncio

    from streams.local.chaos.command import Run, killed
    from streams.local.load.checker import check
    from streams.local.load.report import report
    from streams.logs import configure
    from streams.settings import home

    configure("warning", service="chaos")
    asked = Run(
        home=home() / "chaos",
        layout=layout,
        conversations=conversations,
        messages=messages,
        rate=rate,
        seed=seed,
        patience_s=patience,
    )
    result, _, unreal = asyncio.run(killed(asked, lambda line: typer.echo(line, err=True)))
    violations = check(result.known)
    for line in report(result, violations):
        typer.echo(line)
    for part in unreal:
        typer.echo(f"the fault did not happen: {part} was not killed in the middle of the load")
    if violations or unreal:
        typer.echo(f"again: whaticket chaos --layout {layout} --seed {seed}")
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(chaos)
