"""Our loop's chain beside plain ones: at the same rates, and at the highest that each sustains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.local.bench.chain import Chain, Chained, chain, warm_stack
from streams.local.bench.hops import Variant
from streams.local.bench.sustained import highest
from streams.local.stack.options import Layout
from streams.local.stack.supervisor import Tell

FIRST: Final = 500.0
SHORT_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is compared.

    Attributes:
        home: Folder of the stack.
        layout: All hops in one process, or each in its own.
        rates: Records a second, one after another.
        seconds: How long each is sent.
        sustained_s: How long the highest rate must be sustained; 0 does not look for it.
    """

    home: Path
    layout: Layout
    rates: Sequence[float]
    seconds: float
    sustained_s: float


@dataclass(frozen=True, slots=True)
class Highest:
    """The highest rate that a variant sustained, a second; 0 is none."""

    variant: Variant
    rate: float


Note = Callable[[Chained | Highest], None]
"""Takes what was measured, as soon as it is."""


async def compare(asked: Asked, note: Note, tell: Tell) -> None:
    """Note what every rate gave each variant, then every trial for its highest rate, and that.

    Raises:
        PipelineError: A process ended.
    """
    async with warm_stack(asked.home, tell) as stack:
        for rate in asked.rates:
            for variant in Variant:
                async with chain(stack, variant, asked.layout) as standing:
                    note(await standing.burst(rate, asked.seconds))
        for variant in Variant if asked.sustained_s else ():
            async with chain(stack, variant, asked.layout) as standing:
                note(Highest(variant, await _highest(standing, asked.sustained_s, note)))


async def _highest(standing: Chain, sustained_s: float, note: Note) -> float:
    async def trial(rate: float, seconds: float) -> bool:
        found = await standing.burst(rate, seconds)
        note(found)
        return found.passage.sustained

    return await highest(FIRST, trial, short_s=SHORT_S, seconds=sustained_s)
