"""Commands of the embedded stack: up, down, status, keys."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated

import typer

from streams.cli.simulator import Rules


class LayoutChoice(StrEnum):
    """How the stages are laid out over worker processes."""

    ALL_IN_ONE = "all-in-one"
    SPLIT = "split"


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command()(keys)


def up(  # noqa: PLR0913 - one parameter for each option
    *,
    brokers: int = typer.Option(
        0,
        min=0,
        max=5,
        help="Kafka brokers: of 3, one may be lost and starts again; 0: as before, at first 1.",
    ),
    layout: Annotated[
        LayoutChoice, typer.Option(help="One worker process for all stages, or one for each.")
    ] = LayoutChoice.ALL_IN_ONE,
    workers: int = typer.Option(1, min=1, max=16, help="How many of each worker process."),
    model: str = typer.Option("", help="Offline model: empty is scripted, smollm2 is a small LLM."),
    infrastructure: bool = typer.Option(
        False, "--infrastructure", help="Only Kafka, registry, Postgres and Redis."
    ),
    restart: bool = typer.Option(
        False, "--restart", help="Start our own processes again when they crash."
    ),
    rules: Annotated[
        Rules, typer.Option(help="Meta's rates, windows and templates in the simulator.")
    ] = Rules.OFF,
    misbehave: str = typer.Option(
        "", help="What the simulator does wrong, such as cut=3/200,slow=0.05."
    ),
    movable_clock: bool = typer.Option(
        False, "--movable-clock", help="Let the simulator move the clock of all our processes."
    ),
) -> None:
    """Start everything on this machine, and keep it up until Ctrl-C.

    A part whose address is in the environment (KAFKA_BOOTSTRAP, SCHEMA_REGISTRY_URL,
    POSTGRES_DSN, REDIS_URL, WHATSAPP_API_URL, OPENAI_API_KEY or OPENAI_BASE_URL) is used
    from there and not started.
    """
    from rich.console import Console

    from streams.local.stack import Stack, StackOptions
    from streams.local.stack.board import Board
    from streams.local.stack.foreground import stay_up
    from streams.local.stack.report import addresses, next_steps
    from streams.settings import home

    options = StackOptions(
        home=home(),
        brokers=brokers,
        own=not infrastructure,
        layout=layout.value,
        workers=workers,
        model=model,
        restart=restart,
        movable_clock=movable_clock,
        simulator=(
            *(("--rules", rules.value) if rules is Rules.META else ()),
            *(("--misbehave", misbehave) if misbehave else ()),
        ),
    )
    console = Console()
    with Board(console) as board:

        def announce(stack: Stack) -> None:
            board.close()
            console.print(addresses(stack))
            for line in next_steps(stack):
                console.print(line, markup=False, highlight=False, soft_wrap=True)

        asyncio.run(stay_up(options, board, announce))


def down() -> None:
    """Stop the stack of this folder, and what an earlier one left behind."""
    from streams.local.stack.hold import Ledger, clean, take_down
    from streams.local.stack.stack import LEDGER, LOCK
    from streams.settings import home

    folder = home()

    async def stop() -> list[str]:
        entries = Ledger(folder / LEDGER).read()
        was_up = await take_down(folder / LOCK)
        left = await clean(entries)
        return ["stopped", *[f"{name} had been left behind, ended" for name in left]][not was_up :]

    for line in asyncio.run(stop()) or [f"nothing is up in {folder}"]:
        typer.echo(line)


def status() -> None:
    """Show the parts of this folder's stack; exit status 1 unless all are ready."""
    from rich.console import Console

    from streams.local.stack.hold import Ledger, holder, starting
    from streams.local.stack.report import health, status_table
    from streams.local.stack.stack import LEDGER, LOCK
    from streams.settings import home

    folder = home()
    rows = asyncio.run(health(Ledger(folder / LEDGER).read()))
    pid = holder(folder / LOCK)
    begins = starting(folder / LOCK)
    state = "starting" if begins else "up"
    typer.echo(f"{state}, process {pid}, {folder}" if pid else f"not up: {folder}")
    if rows:
        Console().print(status_table(rows))
    if not pid or begins or any(state not in {"ready", "running"} for _, state in rows):
        raise typer.Exit(1)


def keys() -> None:
    """Make secrets for real parts; print them as lines for an environment file."""
    from streams.local.stack.envfile import make_secrets

    for name, value in make_secrets().items():
        typer.echo(f"{name}={value}")
