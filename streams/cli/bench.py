"""Commands: bench."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args

import typer

from streams.cli.throughput import chain, pipeline

if TYPE_CHECKING:
    from rich.table import Table

    from streams.local.bench.figure import Figure

Events = Annotated[int, typer.Option(min=100, help="Records that each variant relays.")]
Variant = Literal["plain relay, no state", "plain aiokafka loop", "Faust with a table", "our loop"]
Only = Annotated[Variant | None, typer.Option(help="The only variant to measure.")]
Turns = Annotated[int, typer.Option(min=1, help="How many times each is measured.")]
Conversations = Annotated[int, typer.Option(min=1, max=10_000, help="Conversations that wait.")]
Seconds = Annotated[float, typer.Option(min=1, help="How long the model takes.")]
Keys = Annotated[int, typer.Option(min=1, help="Conversations in the table.")]
Size = Annotated[int, typer.Option("--bytes", min=200, help="Bytes of each in the changelog.")]
Stopped = Annotated[int, typer.Option(min=1, help="Calls that are open at the SIGTERM.")]
TIMES: Final[dict[str, Variant]] = {
    "of plain": "plain aiokafka loop",
    "x Faust": "Faust with a table",
}
"""Columns that compare, and with which variant."""


def _tell(name: str, line: str) -> None:
    """Show what the stack does, beside the figures: minutes may pass without one."""
    typer.echo(f"{name}: {line}", err=True)


def register(app: typer.Typer) -> None:
    """Register the commands of this module."""
    group = typer.Typer(no_args_is_help=True, help="Measure; figures are in docs/benchmarks.md.")
    group.command()(hop)
    group.command()(chain)
    group.command()(pipeline)
    group.command()(waiting)
    group.command()(recovery)
    group.command()(rates)
    group.command()(failover)
    app.add_typer(group, name="bench")


def hop(events: Events = 50_000, turns: Turns = 3, only: Only = None) -> None:
    """Measure one hop of the loop, all protections on, against others that do the same work.

    Each runs in a process of its own, several times, in turns; compared are the middle ones.
    Uses the stack of this folder when it is up; else starts its infrastructure and stops it again.
    """
    import uvloop
    from rich.console import Console

    from streams.local.bench.variants import in_turns
    from streams.local.outside import standing
    from streams.logs import configure
    from streams.settings import environment, home

    configure("error", service="bench")
    variants = [only] if only else get_args(Variant)

    async def measured() -> list[Figure]:
        async with standing(home(), _tell, own=False):
            return [figure async for figure in in_turns(environment(), variants, events, turns)]

    Console().print(_compared(uvloop.run(measured())))


def _compared(figures: Sequence[Figure]) -> Table:
    """Return a table with a row for each variant; several turns of one are joined."""
    from rich.table import Table

    of = {one.variant: [each for each in figures if each.variant == one.variant] for one in figures}
    middle = {name: median(each.per_second for each in its) for name, its in of.items()}
    table = Table("variant", "events/s", "turns", "CPU µs", *TIMES)
    for name, its in of.items():
        table.add_row(
            name,
            f"{middle[name]:,.0f}",
            " ".join(f"{each.per_second:,.0f}" for each in its),
            f"{median(each.cpu_us for each in its):,.0f}",
            *(
                f"{middle[name] / middle[one]:.2f}" if one in middle else "-"
                for one in TIMES.values()
            ),
        )
    return table


def waiting(
    conversations: Conversations = 10_000, seconds: Seconds = 60.0, stopped: Stopped = 1000
) -> None:
    """Let thousands of conversations wait for a slow model at once, on one AI worker.

    Starts a stack of its own and stops it again; takes about six times SECONDS.
    """
    import uvloop

    from streams.local.bench.waiting import Asked, waiting
    from streams.logs import configure
    from streams.settings import home

    configure("error", service="bench")
    asked = Asked(
        home=home() / "bench-waiting",
        conversations=conversations,
        seconds=seconds,
        stopped=stopped,
    )
    for line in uvloop.run(waiting(asked, _tell)):
        typer.echo(line)


def rates(  # noqa: PLR0913 - options of a command
    *,
    workers: Annotated[int, typer.Option(min=1, max=12, help="Outbound workers.")] = 3,
    limit: Annotated[int, typer.Option(min=1, help="Messages a second of the number.")] = 80,
    load: Annotated[float, typer.Option(min=0.1, help="Traffic, as a part of the limit.")] = 1.0,
    seconds: Annotated[float, typer.Option(min=6, help="How long it is given.")] = 60.0,
    kill: Annotated[bool, typer.Option(help="Kill the busiest worker on the way.")] = True,
    window: Annotated[
        float, typer.Option(min=1, help="Seconds until a customer's window closes.")
    ] = 86_400.0,
    inbound: Annotated[
        float, typer.Option(min=0, help="Messages a second that other customers write.")
    ] = 0.0,
) -> None:
    """Send from one number with several workers, against Meta's rules; the busiest is killed.

    Starts a stack of its own and stops it again. Exit status 1 when something was refused, sent
    twice or lost: what cannot be sent in time is a person's.
    """
    import uvloop

    from streams.local.bench.rates import Asked, rates
    from streams.logs import configure
    from streams.settings import home

    configure("error", service="bench")
    asked = Asked(
        folder=home() / "bench-rates",
        workers=workers,
        limit=limit,
        load=load,
        seconds=seconds,
        kill=kill,
        window_s=window,
        inbound=inbound,
    )
    found = uvloop.run(rates(asked, _tell))
    refused = ", ".join(f"{count} x {code}" for code, count in sorted(found.refusals.items()))
    typer.echo(
        f"{found.accepted} of {found.asked} bubbles accepted, {found.duplicates} twice,"
        f" {found.handed} for a person, {found.lost} lost, refused: {refused or 'none'}\n"
        f"by the gate: {', '.join(f'{count} {end}' for end, count in sorted(found.ends.items()))}\n"
        f"{found.heard} messages of customers, {found.astray} of them not exactly once\n"
        f"longest time from the request to WhatsApp: {found.longest_s:.1f} s,"
        f" to a person: {found.handed_s:.1f} s\n"
        f"after their window: {found.outside} taken by WhatsApp, {found.late} to a person\n"
        f"{found.seconds:.1f} s: {found.limit * found.used:.1f} messages a second,"
        f" {found.used:.0%} of the limit of {found.limit}\n"
        f"in each 5 s: {' '.join(map(str, found.course))}"
    )
    if not found.good:
        raise typer.Exit(1)


def failover() -> None:
    """Kill one of three AI workers under load; measure when its conversations are answered again.

    Starts a stack of its own and stops it again. Exit status 1 when a turn was not answered once.
    """
    import uvloop

    from streams.local.bench.failover import failover
    from streams.logs import configure
    from streams.settings import home

    configure("error", service="bench")
    found = uvloop.run(failover(home() / "bench-failover", _tell))
    typer.echo(
        f"{found.answered} of {found.asked} turns answered, {found.twice} twice\n"
        f"the dead worker had {found.partitions} partitions; on all of them answers came again"
        f" {found.resumed_s:.1f} s after its end, at a session timeout of {found.session_s:g} s\n"
        f"longest time from a turn to its answer: {found.longest_s:.1f} s"
    )
    if not found.good:
        raise typer.Exit(1)


def recovery(keys: Keys = 1_000_000, size: Size = 300) -> None:
    """Measure how long a new worker reads its table before it serves.

    Uses the stack of this folder when it is up; else starts one and stops it again.
    """
    import uvloop
    from rich.console import Console
    from rich.table import Table

    from streams.interpreter import prepare
    from streams.local.bench.recovery import Recovered, RecoveryBench
    from streams.local.outside import standing
    from streams.logs import configure
    from streams.settings import home

    configure("error", service="bench")
    prepare()

    async def measured() -> list[Recovered]:
        async with standing(home(), _tell) as current:
            return await RecoveryBench(current, keys, size).recover()

    table = Table("way", "keys", "bytes", "seconds", "CPU seconds", "keys/s", "memory")
    for found in uvloop.run(measured()):
        table.add_row(
            found.way,
            f"{found.keys:,}",
            f"{found.value_bytes:,}",
            f"{found.seconds:.1f}",
            f"{found.cpu_s:.1f}",
            f"{found.keys / found.seconds:,.0f}",
            f"{found.more_mb:,.0f} MB",
        )
    Console().print(table)
