"""Commands: load."""

from __future__ import annotations

from typing import Annotated

import typer


def load(
    conversations: Annotated[int, typer.Option(min=1, max=10_000, help="Customers.")] = 200,
    messages: Annotated[int, typer.Option(min=1, help="Messages in all.")] = 2000,
    rate: Annotated[float, typer.Option(min=0, help="Messages a second; 0 is no limit.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Kinds and texts follow from it.")] = 1,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to wait after sending.")] = 90.0,
) -> None:
    """Send signed messages through the webhook and check what became of every one.

    Uses the stack of this folder when it is up; else starts one and stops it again. Exit status 1
    when a rule is broken.
    """
    import asyncio
    from collections.abc import Sequence

    from streams.local.load.checker import check
    from streams.local.load.command import loaded
    from streams.local.load.plan import Outgoing, plan
    from streams.local.load.report import report
    from streams.local.outside import TERMINATED
    from streams.logs import configure

    configure("warning", service="load")

    def tell(name: str, line: str) -> None:
        typer.echo(f"{name}: {line}", err=True)

    def planned(run: str) -> Sequence[Sequence[Outgoing]]:
        return plan(conversations, messages, run=run, seed=seed)

    try:
        result = asyncio.run(loaded(planned, tell, rate=rate, patience_s=patience))
    except asyncio.CancelledError:  # asked to end: what was started has been stopped
        raise typer.Exit(TERMINATED) from None
    violations = check(result.known)
    for line in report(result, violations):
        typer.echo(line)
    if violations:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(load)
