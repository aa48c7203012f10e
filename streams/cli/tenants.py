"""Commands: migrations, tenants, their numbers and Meta apps."""

from __future__ import annotations

import asyncio

import typer


def migrate() -> None:
    """Bring the database's tables up to date."""
    from sinks.database import open_pool
    from sinks.migrations import migrate as apply
    from streams.settings import settings

    async def run() -> tuple[str, ...]:
        pool = await open_pool(settings().postgres_dsn.get_secret_value())
        try:
            return await apply(pool)
        finally:
            await pool.close()

    applied = asyncio.run(run())
    typer.echo("\n".join(applied) if applied else "nothing to do")


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(migrate)
