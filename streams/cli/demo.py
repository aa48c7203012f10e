"""Commands: seed, demo."""

from __future__ import annotations

import typer


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


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(seed)
