"""Commands: trace."""

from __future__ import annotations

from typing import Annotated

import typer

from schemas.errors import Misconfigured


def trace(
    wamid: Annotated[str, typer.Option(help="WhatsApp's id of a message, ours or theirs.")] = "",
    conversation: Annotated[str, typer.Option(help="Id of a conversation.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    show_text: Annotated[
        bool, typer.Option("--show-text", help="Show what was written, and phone numbers.")
    ] = False,
) -> None:
    """Say what happened to a message or a conversation, and why; reads the topics only."""
    import asyncio
    import json

    from streams.settings import settings
    from streams.story.printing import lines, plain
    from streams.story.tracing import traced

    if bool(wamid) == bool(conversation):
        raise Misconfigured("give either --wamid or --conversation")
    told = asyncio.run(traced(settings(), wamid=wamid, conversation_id=conversation))
    if as_json:
        typer.echo(json.dumps(plain(told, show_text=show_text), ensure_ascii=False, indent=2))
        return
    for line in lines(told, show_text=show_text):
        typer.echo(line)


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(trace)
