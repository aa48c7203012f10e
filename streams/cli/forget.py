"""Command: forget: a conversation begins anew whose state at rest is lost."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer


def forget(
    conversation: Annotated[str, typer.Argument(help="Id of the conversation.")],
    execute: Annotated[bool, typer.Option("--execute", help="Do it; else only show it.")] = False,
) -> None:
    """Let a conversation begin anew whose state at rest is lost; every worker must be stopped.

    Where dispatch has lost it, nothing is known of it afterwards: what was delivered may be
    answered twice, and the AI has it. Any other stage begins anew alone. Bring the rows back from
    a backup instead where there is one.
    """
    from streams.kafka.groups import Groups
    from streams.kafka.layouts import Layouts
    from streams.settings import settings

    if execute:
        Layouts(Groups(settings().kafka_bootstrap)).idle()
    asyncio.run(_forget(conversation, execute=execute))
    if not execute:
        typer.echo("Nothing was written. Stop the workers, then run with --execute.")


async def _forget(conversation: str, *, execute: bool) -> None:
    from sinks.claims import PostgresClaims
    from sinks.database import open_pool
    from sinks.resting import RestingStates
    from streams.kafka.publish import Publisher
    from streams.settings import settings
    from streams.state import forgetting

    bootstrap, dsn = settings().kafka_bootstrap, settings().postgres_dsn.get_secret_value()
    key = conversation.encode()
    pool = await open_pool(dsn, name=forgetting.CLIENT)
    publisher = Publisher(bootstrap, client_id=forgetting.CLIENT)
    try:
        found = await forgetting.whereabouts(bootstrap, RestingStates(pool), key)
        for stage, where in found.items():
            typer.echo(f"{stage} {where}")
        forgetting.check(found)
        if execute:
            await publisher.start()
            stages = forgetting.anew(found)
            if forgetting.ROOT in stages:
                await PostgresClaims(pool).unbar(conversation)
            await forgetting.forget(publisher, key, found)
            typer.echo(f"forgotten: start the workers, it begins anew at {', '.join(stages)}")
    finally:
        await publisher.stop()
        await pool.close()


def register(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command("forget")(forget)
