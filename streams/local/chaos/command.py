"""One chaos run: a stack of its own, a load, faults in the middle of it, the checker's verdict."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from streams.clock import WallClock
from streams.local.chaos.kills import Kill, Say, kill_each, unreal, victims
from streams.local.load.plan import plan
from streams.local.load.run import CONNECTIONS, Result, Sender, run
from streams.local.outside import outside
from streams.local.stack import StackOptions, running
from streams.local.stack.options import Layout
from streams.reading import Reading
from streams.registry import open_codec
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
    clock = WallClock()
    options = StackOptions(home=asked.home, layout=asked.layout)
    async with running(options, lambda name, line: say(f"{name}: {line}")) as stack:
        current = load(asked.home)
        async with outside(current, CONNECTIONS) as world:
            reading = Reading(current.kafka_bootstrap, await open_codec(current))
            planned = plan(
                asked.conversations, asked.messages, run=f"{clock.now_ms():x}", seed=asked.seed
            )
            sender = Sender(world, clock, asked.rate)
            total = sum(map(len, planned))
            parts = victims(stack.names)
            async with asyncio.TaskGroup() as tasks:
                kills = tasks.create_task(kill_each(stack, parts, sender, total, say))
                result = await run(planned, reading, sender, patience_s=asked.patience_s)
            return result, kills.result(), unreal(kills.result(), parts)
