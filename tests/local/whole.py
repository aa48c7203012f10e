"""A whole stack of a layout, and small loads on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from streams.clock import WallClock
from streams.kafka.reading import Reading
from streams.kafka.registry import open_codec
from streams.local.load.plan import plan
from streams.local.load.run import CONNECTIONS, Result, Sender, run
from streams.local.outside import Outside, outside
from streams.local.stack import Stack, StackOptions, running
from streams.settings import Settings, load


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A stack that is up, and the world around it."""

    stack: Stack
    current: Settings
    world: Outside

    def sender(self, rate: float) -> Sender:
        """Return what sends so many messages a second."""
        return Sender(self.world, WallClock(), rate)

    async def load(self, sender: Sender, conversations: int, messages: int) -> Result:
        """Send messages and wait until nothing is open any more."""
        reading = Reading(self.current.kafka_bootstrap, await open_codec(self.current))
        made = plan(conversations, messages, run=f"{sender.clock.now_ms():x}", seed=7)
        return await run(made, reading, sender, patience_s=120)


@asynccontextmanager
async def whole(options: StackOptions) -> AsyncIterator[Whole]:
    """Run a stack with everything of ours as long as the block lasts."""
    async with running(options) as stack:
        current = load(options.home)
        async with outside(current, CONNECTIONS) as world:
            yield Whole(stack=stack, current=current, world=world)
