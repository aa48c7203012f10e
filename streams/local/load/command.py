"""A load against a stack: the one that is up, or one of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streams.clock import WallClock
from streams.local.load.plan import Outgoing
from streams.local.load.run import CONNECTIONS, Result, Sender, run
from streams.local.outside import outside, standing
from streams.local.stack.supervisor import Tell
from streams.reading import Reading
from streams.registry import open_codec
from streams.settings import home

Planned = Callable[[str], Sequence[Sequence[Outgoing]]]
"""Given the name of a run, what is sent."""


async def loaded(planned: Planned, tell: Tell, *, rate: float, patience_s: float) -> Result:
    """Run a load.

    Args:
        planned: Makes the plan of a run.
        tell: Told of parts that start and stop.
        rate: Messages a second; 0 is no limit.
        patience_s: How long to wait after sending.

    Raises:
        PipelineError: The stack could not be started or does not answer.
    """
    clock = WallClock()
    async with standing(home(), tell) as current, outside(current, CONNECTIONS) as world:
        reading = Reading(current.kafka_bootstrap, await open_codec(current))
        plan = planned(f"{clock.now_ms():x}")
        return await run(plan, reading, Sender(world, clock, rate), patience_s=patience_s)
