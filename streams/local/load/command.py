"""A load against a stack: the one that is up, or one of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streams.local.load.begun import begun
from streams.local.load.plan import Outgoing
from streams.local.load.run import Result, run
from streams.local.outside import standing
from streams.local.stack.supervisor import Tell
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
    async with standing(home(), tell) as current, begun(current, rate) as load:
        return await run(planned(load.name), load.reading, load.sender, patience_s=patience_s)
