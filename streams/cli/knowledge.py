"""Commands: knowledge."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import typer

from schemas.errors import Misconfigured
from streams.cli.companies import refuse_unknown
from streams.cli.files import text_of

if TYPE_CHECKING:
    from sinks.knowledge import PostgresKnowledge

T = TypeVar("T")

FILES: Final = typer.Argument(help="Markdown or text files.")


def add(
    files: list[Path] = FILES,
    tenant: str = typer.Option(help="The company."),
) -> None:
    """Add documents to what the AI of a company knows; a newer file replaces the older one."""
    texts = {file.name: text_of(file, file.name) for file in files}
    if len(texts) < len(files):
        raise Misconfigured("two of the files have the same name: a name is one document")

    async def each(knowledge: PostgresKnowledge) -> None:
        await refuse_unknown(knowledge.pool, tenant)
        for name, text in texts.items():
            added = await knowledge.add_passages(tenant, name, text)
            typer.echo(f"{name}\t{added} new passages")

    _with_knowledge(each)


def documents(tenant: str = typer.Option(help="The company.")) -> None:
    """List a company's documents."""
    for source, passages in _with_knowledge(lambda knowledge: knowledge.documents(tenant)):
        typer.echo(f"{source}\t{passages} passages")


def _with_knowledge(ask: Callable[[PostgresKnowledge], Awaitable[T]]) -> T:
    from sinks.database import open_pool
    from sinks.knowledge import PostgresKnowledge
    from streams.embedding import open_embedder
    from streams.settings import settings

    current = settings()

    async def run() -> T:
        pool = await open_pool(current.postgres_dsn.get_secret_value(), name="whaticket.cli")
        try:
            async with open_embedder(current) as embedder:
                return await ask(PostgresKnowledge(pool, embedder))
        finally:
            await pool.close()

    return asyncio.run(run())


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    group = typer.Typer(help="What the AI of a company knows.", no_args_is_help=True)
    group.command("add")(add)
    group.command("list")(documents)
    app.add_typer(group, name="knowledge")
