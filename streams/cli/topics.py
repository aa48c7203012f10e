"""Commands about what is on the log: ``topics``, ``schemas`` and ``docs``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import typer

EXIT_DIFFERENT = 1
DAY_MS = 86_400_000
WIDEST = 10_000
"""Columns of a terminal that no table needs."""

Execute = Annotated[bool, typer.Option("--execute", help="Do it; without this it is only shown.")]


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    topics = typer.Typer(help="Topics and schemas on Kafka and the registry.", no_args_is_help=True)
    topics.command("list")(list_topics)
    topics.command("diff")(diff)
    topics.command("apply")(apply)
    app.add_typer(topics, name="topics")
    schemas = typer.Typer(help="Versions of the records' schemas.", no_args_is_help=True)
    schemas.command("list")(list_schemas)
    schemas.command("release")(release)
    app.add_typer(schemas, name="schemas")
    app.command("docs")(docs)


def list_topics() -> None:
    """Show every topic as it should be: inputs, dead letters and changelogs."""
    from streams.kafka.provision import wanted_topics
    from streams.settings import settings

    rows = [
        (
            topic.name,
            str(topic.partitions),
            str(topic.replicas),
            _kept(topic.config),
            " ".join(f"{name}={value}" for name, value in topic.config.items()),
        )
        for topic in wanted_topics(settings())
    ]
    show_table(("topic", "partitions", "replicas", "kept", "config"), rows)


def _kept(config: Mapping[str, str]) -> str:
    """Say how long records stay."""
    if "compact" in config.get("cleanup.policy", ""):
        return "newest of a key"
    return f"{int(config['retention.ms']) / DAY_MS:g} days"


def diff() -> None:
    """Show what differs from what should be; exits 1 when anything does."""
    from streams.kafka.provision import differences
    from streams.settings import settings

    found = asyncio.run(differences(settings()))
    _show_differences(found)
    if found:
        raise typer.Exit(EXIT_DIFFERENT)
    typer.echo("Topics and schemas are as they should be.")


def apply(execute: Execute = False) -> None:
    """Create missing topics, set their configuration and register schemas; deletes nothing."""
    from streams.kafka import provision
    from streams.settings import settings

    found = asyncio.run(provision.apply(settings(), execute=execute))
    _show_differences(found)
    fixable = sum(change.fixable for change in found)
    left = len(found) - fixable
    if execute:
        typer.echo(f"{fixable} applied; {left} left as they are.")
    else:
        typer.echo(f"{fixable} to apply; {left} are not for this command. Run with --execute.")


def list_schemas() -> None:
    """Show the versions of every record's schema that this project has had."""
    from schemas.versions import kept, released

    frozen = released()
    rows = [
        (version.record, str(version.number), _state(version.number, frozen.get(record, 0)))
        for record, versions in kept().items()
        for version in versions
    ]
    show_table(("record", "version", "state"), rows)


def _state(number: int, frozen: int) -> str:
    return "released" if number <= frozen else "may still change"


def release() -> None:
    """Freeze the newest version of each schema; a later change begins the next version.

    Part of a release: what has been written with a version must stay readable.
    """
    from streams import docs as generated

    numbers = generated.release(generated.project_root())
    show_table(
        ("record", "released"), [(record, str(number)) for record, number in numbers.items()]
    )


def docs(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 when a file is out of date.")
    ] = False,
) -> None:
    """Render docs and Avro schemas from the code.

    A changed record overwrites its newest schema until that is released; then it begins the
    next version, when every earlier one can be read beside it.
    """
    from streams import docs as generated

    root = generated.project_root()
    files = generated.rendered()
    stale = generated.outdated(root, files) if check else generated.write(root, files)
    for path in stale:
        typer.echo(f"{'out of date' if check else 'rendered'}: {path}")
    if check and stale:
        typer.echo("Run `whaticket docs`.", err=True)
        raise typer.Exit(EXIT_DIFFERENT)
    if not stale:
        typer.echo(f"{len(files)} files are up to date.")


def _show_differences(found: Sequence[object]) -> None:
    from streams.kafka.provision import Difference

    rows = [
        (change.kind.value, change.what, change.name, change.found or "-", change.wanted or "-")
        for change in found
        if isinstance(change, Difference)
    ]
    if rows:
        show_table(("", "what", "name", "found", "wanted"), rows)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table for a person, and lines with tabs for a pipe.

    An id is never cut, which would be of no use to anybody: on a narrow terminal lines are longer.
    """
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    cells = [[Text(cell) for cell in row] for row in rows]
    table = Table(box=None, header_style="bold")
    for place, name in enumerate(columns):
        words = any(" " in line[place].plain for line in cells)
        table.add_column(name, no_wrap=not words, overflow="fold")
    for line in cells:
        table.add_row(*line)
    console = Console()
    room = console.options.update(max_width=WIDEST)
    width = max(console.width, Measurement.get(console, room, table).minimum)
    Console(width=width, height=console.height).print(table)  # a dumb terminal wants both
