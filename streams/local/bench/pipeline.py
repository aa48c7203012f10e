"""The whole pipeline beside a chain of plain loops, on one stack, rate after rate."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.local.bench.chain import Chained, chain
from streams.local.bench.cpu import spent_by_part_s
from streams.local.bench.hops import Variant
from streams.local.bench.passage import PACE
from streams.local.bench.sustained import highest
from streams.local.load.begun import begun
from streams.local.load.checker import check
from streams.local.load.figures import PERCENTILES, overheads, percentile
from streams.local.load.plan import plan
from streams.local.load.run import Result, run
from streams.local.stack import Stack, StackOptions, running
from streams.local.stack.options import Layout
from streams.local.stack.supervisor import Tell
from streams.settings import Settings, load

WARM_UP: Final = 400
WARM_UP_RATE: Final = 20.0
WARM_UP_CUSTOMERS: Final = 200
PATIENCE_S: Final = 600.0
FIRST: Final = 20.0
SHORT_S: Final = 15.0
"""Longer than any burst window, so that turns begin at the rate."""
WINDOW_S: Final = 8.0
"""Longest burst window of the shop, ``burst_max_ms`` of its settings."""
BEHIND_S: Final = 5.0
P99_MS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rate.

    Attributes:
        rate: Messages a second that were asked for.
        sent: Messages that were sent.
        sending_s: Seconds from the first to the last one.
        overheads_ms: Platform overhead of each turn that could be measured.
        behind_s: How long after the last message was sent everything was done, burst windows
            included.
        violations: Rules that were broken.
        cpu_ms: CPU time of each part for a message, from the first one until all were done.
        chained: What the plain loops did at this rate; None when they were not asked.
    """

    rate: float
    sent: int
    sending_s: float
    overheads_ms: Sequence[int]
    behind_s: float
    violations: int
    cpu_ms: Mapping[str, float]
    chained: Chained | None = None

    @property
    def shown_ms(self) -> tuple[int, ...]:
        """p50, p95 and p99 of the overhead."""
        return tuple(percentile(self.overheads_ms, p) for p in PERCENTILES)

    @property
    def sustained(self) -> bool:
        """Whether the pipeline kept up: nothing wrong, and no backlog that grew."""
        came = self.sent >= PACE * self.rate * self.sending_s
        quick = self.shown_ms[-1] <= P99_MS and self.behind_s <= WINDOW_S + BEHIND_S
        return came and quick and bool(self.overheads_ms) and not self.violations


class Pipeline:
    """A whole stack that takes messages at a rate."""

    def __init__(self, stack: Stack, layout: Layout, customers: int) -> None:
        self.stack = stack
        self.layout = layout
        self.customers = customers
        self.current = load(stack.home)

    async def warm_up(self) -> None:
        """Spend the first minute of a broker on a load that is not measured."""
        await _loaded(self.current, WARM_UP_RATE, WARM_UP, WARM_UP_CUSTOMERS)

    async def beside(self, rate: float, seconds: float) -> Step:
        """Send at a rate through plain loops, then through the pipeline."""
        async with chain(self.stack, Variant.PLAIN, self.layout) as plain:
            chained = await plain.burst(rate, seconds)
        return await self.step(rate, seconds, chained)

    async def step(self, rate: float, seconds: float, chained: Chained | None = None) -> Step:
        """Send at a rate; return what became of it."""
        before = spent_by_part_s(self.stack)
        result = await _loaded(self.current, rate, int(rate * seconds), self.customers)
        after = spent_by_part_s(self.stack)
        return Step(
            rate=rate,
            sent=result.sent,
            sending_s=result.sending_s,
            overheads_ms=overheads(result.records).whole,
            behind_s=result.whole_s - result.sending_s,
            violations=len(check(result.known)),
            cpu_ms={
                part: (spent - before[part]) * 1000 / result.sent for part, spent in after.items()
            },
            chained=chained,
        )

    async def highest(self, seconds: float, note: Callable[[Step], None]) -> float:
        """Return the highest rate that is sustained for so long, 0 is none; note every trial."""

        async def trial(rate: float, seconds: float) -> bool:
            step = await self.step(rate, seconds)
            note(step)
            return step.sustained

        return await highest(FIRST, trial, short_s=SHORT_S, seconds=seconds)


@contextlib.asynccontextmanager
async def pipeline(
    home: Path, layout: Layout, customers: int, tell: Tell
) -> AsyncIterator[Pipeline]:
    """Lend a warm pipeline on a stack of its own."""
    async with running(
        StackOptions(home=home, alone=True, layout=layout, warm=False), tell
    ) as stack:
        found = Pipeline(stack, layout, customers)
        await found.warm_up()
        yield found


async def _loaded(current: Settings, rate: float, messages: int, customers: int) -> Result:
    async with begun(current, rate) as sent:
        planned = plan(customers, messages, run=sent.name, seed=int(rate))
        return await run(planned, sent.reading, sent.sender, patience_s=PATIENCE_S)
