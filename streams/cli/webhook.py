"""Commands: webhook, producer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from schemas.errors import Rejected
from streams.cli.companies import refuse_unknown

if TYPE_CHECKING:
    from sinks.producers import Producers

T = TypeVar("T")


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command("webhook")(webhook)
    producer = typer.Typer(help="Other systems that push events.", no_args_is_help=True)
    producer.command("add")(add)
    producer.command("rotate")(rotate)
    producer.command("list")(show)
    app.add_typer(producer, name="producer")


def webhook() -> None:
    """Take what WhatsApp and other systems push, and put it on the log."""
    import uvloop

    from streams.interpreter import prepare
    from streams.logs import configure
    from streams.settings import settings
    from streams.webhook.serve import serve

    current = settings()
    configure(current.log_level, service="webhook", instance=current.instance)
    prepare()
    uvloop.run(serve(current, typer.echo))


def add(
    name: str = typer.Argument(help="Lower case letters, digits, - and _; in the address."),
    tenant: str = typer.Option(help="The company on whose behalf it speaks."),
) -> None:
    """Let another system push events; prints its secret, once."""
    from streams.webhook.producers import NAME

    if not NAME.fullmatch(name):
        raise typer.BadParameter("use 1 to 40 lower case letters, digits, - and _")
    secret = _with_producers(lambda producers: producers.add(name, tenant), of=tenant)
    typer.echo(f"secret of {name}, shown only now: {secret}")


def rotate(name: str = typer.Argument(help="Name of the producer.")) -> None:
    """Give a producer a new secret; the one before stays valid until the next rotation."""
    secret = _with_producers(lambda producers: producers.rotate(name))
    typer.echo(f"new secret of {name}, shown only now: {secret}")


def show() -> None:
    """List the producers."""
    for row in _with_producers(lambda producers: producers.listed()):
        typer.echo(f"{row.producer}\t{row.tenant_id}\t{row.rotated_at.isoformat()}")


def _with_producers(ask: Callable[[Producers], Awaitable[T]], *, of: str | None = None) -> T:
    """Ask about producers; of a company that must be there, if one is named."""
    from sinks.database import open_pool
    from sinks.producers import Producers
    from streams.settings import require_secrets, settings

    current = settings()
    require_secrets(current, "secrets_key")

    async def run() -> T:
        pool = await open_pool(current.postgres_dsn.get_secret_value(), name="whaticket.cli")
        try:
            if of is not None:
                await refuse_unknown(pool, of)
            return await ask(Producers(pool, current.secrets_key.get_secret_value()))
        finally:
            await pool.close()

    try:
        return asyncio.run(run())
    except Rejected as exc:
        raise typer.BadParameter(str(exc)) from None
