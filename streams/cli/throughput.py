"""Commands: bench chain, bench pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from schemas.errors import Misconfigured

if TYPE_CHECKING:  # what they need is imported when they run
    from streams.local.bench.chain import Chained
    from streams.local.bench.pipeline import Step

Rates = Annotated[str, typer.Option(help="Messages a second, one after another; may be empty.")]
Each = Annotated[float, typer.Option("--seconds", min=3, help="How long each rate is sent.")]
Layout = Annotated[
    Literal["split", "all-in-one"],
    typer.Option(help="One process for each stage or hop, or one for all."),
]
Sustained = Annotated[
    float,
    typer.Option(
        min=0,
        help="Also find the highest rate that is sustained for so many seconds; 0 does not.",
    ),
]
Customers = Annotated[
    int,
    typer.Option(
        min=1,
        max=10_000,
        help="Customers who write in turn; few of them at a high rate write in bursts.",
    ),
]


def chain(
    rates: Rates = "100,500,1000",
    seconds: Each = 20.0,
    layout: Layout = "all-in-one",
    sustained: Sustained = 60.0,
) -> None:
    """Measure five hops of the loop one after another beside chains of plain loops.

    Each record waits for ten acknowledged writes. The loop's hops have every protection; the
    plain ones have none, and do no work or the same work. Prints rows of a table: p50, p95 and
    p99 from in to out, how long after the last record went in the last one came out, and CPU
    time. A rate is sustained when 98 % of it went in, all of it was out within 1 s of the last
    record, with a p99 of at most 1 s.

    Starts a stack of its own and stops it again. Exit status 1 when a record was lost, came
    twice or out of order.
    """
    import uvloop

    from streams.local.bench.comparison import Asked, Highest, compare
    from streams.logs import configure
    from streams.settings import home

    configure("error", service="bench")
    asked = Asked(
        home=home() / "bench-chain",
        layout=layout,
        rates=_numbers(rates),
        seconds=seconds,
        sustained_s=sustained,
    )

    wrong = 0

    def note(found: Chained | Highest) -> None:
        nonlocal wrong
        if isinstance(found, Highest):
            typer.echo(
                f"highest rate sustained for {sustained:g} s, {found.variant}, {layout}:"
                f" {found.rate:g}/s"
            )
        else:
            typer.echo(_chain_row(found, layout))
            wrong += found.passage.wrong

    typer.echo(
        "| layout | chain | rate | s | p50 / p95 / p99, ms | out after, s"
        " | CPU µs, hops | CPU µs, broker | lost, twice, late | sustained |"
    )
    uvloop.run(compare(asked, note, lambda *_: None))
    if wrong:
        raise typer.Exit(1)


def _chain_row(found: Chained, layout: str) -> str:
    passage = found.passage
    return (
        f"| {layout} | {found.variant} | {passage.rate:g} | {passage.sending_s:.0f}"
        f" | {' / '.join(f'{ms:.0f}' for ms in passage.took_ms)} | {passage.behind_s:.1f}"
        f" | {found.hops_us:.0f} | {found.broker_us:.0f}"
        f" | {passage.lost}, {passage.doubled}, {passage.reordered}"
        f" | {_yes(passage.sustained)} |"
    )


def pipeline(
    rates: Rates = "20,50,100",
    seconds: Each = 20.0,
    layout: Layout = "all-in-one",
    sustained: Sustained = 0.0,
    customers: Customers = 200,
) -> None:
    """Measure the whole pipeline beside a chain of plain loops with as many awaited writes.

    A rate is sustained when 98 % of it went in, everything was done within 13 s of the last
    message (8 s are the longest burst window), and the p99 of platform overhead is at most 1 s.

    Starts a stack of its own and stops it again. Exit status 1 when a rule of the load, or the
    order of the plain chain, is broken.
    """
    import uvloop

    from streams.local.bench.pipeline import pipeline
    from streams.logs import configure
    from streams.settings import home

    configure("error", service="bench")
    wanted = _numbers(rates)
    broken = 0

    def note(step: Step) -> None:
        nonlocal broken
        _tell(step, layout)
        broken += step.violations + (step.chained.passage.wrong if step.chained else 0)

    async def measured() -> None:
        where = home() / f"bench-{layout}"
        async with pipeline(where, layout, customers, lambda *_: None) as standing:
            for rate in wanted:
                note(await standing.beside(rate, seconds))
            if sustained:
                most = await standing.highest(sustained, note)
                typer.echo(f"highest rate sustained for {sustained:g} s, {layout}: {most:g}/s")

    uvloop.run(measured())
    if broken:
        raise typer.Exit(1)


def _tell(step: Step, layout: str) -> None:
    beside = ""
    if step.chained:
        beside = f" plain chain {_three(step.chained.passage.took_ms)} ms (p50 / p95 / p99);"
    typer.echo(
        f"{step.rate:g}/s {layout}:{beside}"
        f" platform overhead {_three(step.shown_ms)} ms of {len(step.overheads_ms)} turns;"
        f" {step.sent} messages sent in {step.sending_s:.1f} s, done {step.behind_s:.1f} s after"
        f" the last; {step.violations} violations; sustained: {_yes(step.sustained)}"
    )
    costly = sorted(step.cpu_ms.items(), key=lambda part: -part[1])
    typer.echo(
        f"  CPU ms a message: {sum(step.cpu_ms.values()):.1f};"
        f" {', '.join(f'{part} {ms:.1f}' for part, ms in costly)}"
    )


def _numbers(rates: str) -> list[float]:
    try:
        return [float(rate) for rate in rates.split(",") if rate]
    except ValueError:
        raise Misconfigured(f"--rates are numbers with commas, not {rates!r}") from None


def _three(values: tuple[float, ...]) -> str:
    return " / ".join(f"{value:.0f}" for value in values)


def _yes(held: bool) -> str:
    return "yes" if held else "no"
