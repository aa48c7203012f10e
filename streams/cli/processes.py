"""Commands: processes."""

from __future__ import annotations

import asyncio

import typer


def processes() -> None:
    """List the processes that keep tenants' settings, and how far each has applied them.

    One that was silent for long is dead, frozen, or cut off from Postgres: no command waits
    for it.
    """
    from sinks.database import open_pool
    from sinks.processes import Process, Processes
    from streams.cli.published import end_of_settings
    from streams.cli.topics import show_table
    from streams.settings import settings

    async def run() -> tuple[tuple[Process, ...], int]:
        pool = await open_pool(settings().postgres_dsn.get_secret_value(), name="whaticket.cli")
        try:
            return await Processes(pool).all(), await end_of_settings()
        finally:
            await pool.close()

    found, end = asyncio.run(run())
    rows = [
        (
            each.process,
            f"{each.started_at:%Y-%m-%d %H:%M:%S}",
            "live" if each.live else f"silent for {each.silent_s:.0f} s",
            "all" if each.settings_offset >= end else f"{each.settings_offset} of {end}",
        )
        for each in found
    ]
    show_table(("process", "since", "state", "settings"), rows)


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(processes)
