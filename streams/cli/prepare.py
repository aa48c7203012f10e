"""Commands that ``up`` gives to its own processes: prepare, hold."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Annotated, Final

import typer

from streams.cli.stack import LayoutChoice

LOADED: Final = {
    "api": ("uvloop", "streams.api.serve"),
    "prepare": ("streams.local.prepare",),
    "webhook": ("uvloop", "streams.webhook.serve"),
    "worker": ("uvloop", "streams.app", "streams.worker"),
}
"""What each command imports when it runs."""
LOADED_BY: Final = {"ai": "agents.adapters.llm", "transcripts": "streams.api.feed"}
"""What a worker imports besides, for some of its stages and sinks."""


def prepare(
    layout: Annotated[LayoutChoice, typer.Option(help="How the stages will run.")],
) -> None:
    """Make topics, schemas, tables and the demo's shop; move offsets to the layout."""
    import asyncio
    import datetime as dt

    from streams.clock import WallClock
    from streams.kafka.layouts import Layout
    from streams.local.prepare import prepare as make
    from streams.settings import settings

    today = dt.datetime.fromtimestamp(WallClock().now_ms() / 1000, dt.UTC).date()
    asyncio.run(make(settings(), Layout(layout), today, typer.echo))


def hold(context: typer.Context) -> None:
    """Load what a command needs, wait for the end of the standard input, then run it."""
    # What is imported stays; to look for garbage among it costs a tenth of the time.
    gc.disable()
    for module in modules(*context.args):
        import_module(module)
    gc.enable()
    sys.stdin.buffer.read()
    main = context.find_root().command
    main(context.args, prog_name="whaticket")


def modules(command: str, *arguments: str) -> Iterator[str]:
    """Yield what a command will import."""
    yield from LOADED.get(command, ())
    if command == "worker":
        yield from (found for name, found in LOADED_BY.items() if name in (arguments or LOADED_BY))


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(hidden=True)(prepare)
    anything = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(hidden=True, context_settings=anything)(hold)
