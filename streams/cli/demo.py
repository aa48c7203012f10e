"""Commands: demo, seed."""

from __future__ import annotations

from typing import Final

import typer

PLAIN_WIDTH: Final = 140


def seed() -> None:
    """Put the demo's shop into the stack: tenant, numbers, knowledge, products, orders."""
    import asyncio
    import datetime as dt

    from streams.clock import WallClock
    from streams.local.demo.seed import seed as put
    from streams.settings import settings

    today = dt.datetime.fromtimestamp(WallClock().now_ms() / 1000, dt.UTC).date()
    done = asyncio.run(put(settings(), today))
    typer.echo(
        f"tenant demo, settings version {done.version}, {done.channels} numbers,"
        f" {done.passages} new passages"
    )


def demo() -> None:
    """Play real webhook bodies and three customers at once; show every step and check the end.

    Uses the stack of this folder when it is up; else starts one and stops it again. Exit status 1
    unless every message has exactly one outcome of the expected kind and the simulator holds
    exactly the expected bubbles.
    """
    import asyncio

    from rich.console import Console

    from streams.local.demo.stage import demo as play
    from streams.local.outside import TERMINATED
    from streams.logs import configure

    configure("warning", service="demo")
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)

    def tell(name: str, line: str) -> None:
        console.print(f"{name}: {line}", markup=False, highlight=False, soft_wrap=True)

    try:
        violations = asyncio.run(play(console, tell))
    except asyncio.CancelledError:  # asked to end: what was started has been stopped
        raise typer.Exit(TERMINATED) from None
    if violations:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(demo)
    app.command()(seed)
