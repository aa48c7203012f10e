"""The whole pipeline beside a chain of plain loops, on one stack, rate after rate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.local.bench.chain import Chained, chain
from streams.local.bench.cpu import spent_by_part_s
from streams.local.load.begun import begun
from streams.local.load.checker import check
from streams.local.load.figures import overheads
from streams.local.load.plan import plan
from streams.local.load.run import Result, run
from streams.local.stack import StackOptions, running
from streams.local.stack.options import Layout
from streams.local.stack.supervisor import Tell
from streams.settings import Settings, load

CONVERSATIONS: Final = 200
WARM_UP: Final = 400
WARM_UP_RATE: Final = 20.0
PATIENCE_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rate.

    Attributes:
        rate: Messages a second.
        chained: What the plain loops did.
        overheads_ms: Platform overhead of each turn that could be measured.
        behind_s: How long after the last message was sent everything was done, burst windows
            included.
        violations: Rules that were broken.
        cpu_ms: CPU time of each part for a message, from the first one until all were done.
    """

    rate: float
    chained: Chained
    overheads_ms: Sequence[int]
    behind_s: float
    violations: int
    cpu_ms: Mapping[str, float]


async def steps(
    home: Path, layout: Layout, rates: Sequence[float], seconds: float, tell: Tell
) -> AsyncIterator[Step]:
    """Yield what each rate gave; the first minute of a broker is spent on a load to warm it."""
    async with running(StackOptions(home=home, layout=layout, warm=False), tell) as stack:
        current = load(stack.home)
        await _loaded(current, WARM_UP_RATE, WARM_UP)
        for rate in rates:
            chained = await chain(current.kafka_bootstrap, rate, seconds)
            before = spent_by_part_s(stack)
            result = await _loaded(current, rate, int(rate * seconds))
            after = spent_by_part_s(stack)
            yield Step(
                rate=rate,
                chained=chained,
                overheads_ms=overheads(result.records).whole,
                behind_s=result.whole_s - result.sending_s,
                violations=len(check(result.known)),
                cpu_ms={
                    part: (spent - before[part]) * 1000 / result.sent
                    for part, spent in after.items()
                },
            )


async def _loaded(current: Settings, rate: float, messages: int) -> Result:
    async with begun(current, rate) as sent:
        planned = plan(CONVERSATIONS, messages, run=sent.name, seed=int(rate))
        return await run(planned, sent.reading, sent.sender, patience_s=PATIENCE_S)
