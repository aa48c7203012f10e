"""One chaos run: a stack of its own, a load, faults in the middle of it, the checker's verdict."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from streams.local.chaos.kills import Kill, Say, kill_each, unreal, victims
from streams.local.load.begun import begun
from streams.local.load.plan import plan
from streams.local.load.run import Result, run
from streams.local.stack import StackOptions, running
from streams.local.stack.options import Layout
from streams.settings import load


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run is to do.

    Attributes:
        home: Folder of its stack.
        layout: One worker for all stages, or one for each.
        conversations: Customers.
        messages: Messages in all.
        rate: Messages a second.
        seed: Kinds and texts follow from it.
        patience_s: Seconds to wait after sending.
    """

    home: Path
    layout: Layout
    conversations: int
    messages: int
    rate: float
    seed: int
    patience_s: float


async def killed(asked: Run, say: Say) -> tuple[Result, list[Kill], list[str]]:
    """Run a load and kill every process of ours once.

    Returns:
        What the load did, the kills, and the planned kills that did not really happen.
    """
    options = StackOptions(home=asked.home, layout=asked.layout)
    async with (
        running(options, lambda name, line: say(f"{name}: {line}")) as stack,
        begun(load(asked.home), asked.rate) as sent,
    ):
        planned = plan(asked.conversations, asked.messages, run=sent.name, seed=asked.seed)
        total = sum(map(len, planned))
        parts = victims(stack.names)
        async with asyncio.TaskGroup() as tasks:
            kills = tasks.create_task(kill_each(stack, parts, sent.sender, total, say))
            result = await run(planned, sent.reading, sent.sender, patience_s=asked.patience_s)
        return result, kills.result(), unreal(kills.result(), parts)
