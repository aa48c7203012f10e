"""Five hops one after another: from in to out a record waits for ten acknowledged writes.

So does a message of the pipeline, from its webhook to the model and from the answer to WhatsApp.
Every hop writes a state of 4 KB, waits, sends on 1 KB, and waits. The hops run in processes of
their own, and what sends and reads is one more, the same for every variant.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from schemas.topics import changelog
from streams.local.bench.child import Child
from streams.local.bench.cpu import spent_s
from streams.local.bench.generator import Burst
from streams.local.bench.hops import Variant
from streams.local.bench.passage import Passage
from streams.local.bench.topics import HOPS, Topics, hop_stage, hop_topic
from streams.local.stack import Stack, StackOptions, running
from streams.local.stack.options import Layout
from streams.local.stack.supervisor import Tell

HOPS_MODULE: Final = "streams.local.bench.hops"
GENERATOR_MODULE: Final = "streams.local.bench.generator"
WARM_UP: Final = Burst(500, 10)
"""The first seconds of a broker are not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chained:
    """What one rate gave.

    Attributes:
        variant: What the hops were.
        passage: What became of the records.
        hops_us: CPU time of the hops' processes for each record, in microseconds.
        broker_us: That of the broker.
    """

    variant: Variant
    passage: Passage
    hops_us: float
    broker_us: float


class Chain:
    """A chain that stands, with its generator."""

    def __init__(
        self, stack: Stack, variant: Variant, hops: Sequence[Child], generator: Child
    ) -> None:
        self.stack = stack
        self.variant = variant
        self.hops = hops
        self.generator = generator

    async def burst(self, rate: float, seconds: float) -> Chained:
        """Send records at a rate; return what became of them.

        Raises:
            PipelineError: A process of it ended.
        """
        hops_s, broker_s = self._spent_s()
        told = await self.generator.ask(msgspec.json.encode(Burst(rate, seconds)))
        for hop in self.hops:
            hop.check()
        passage = msgspec.json.decode(told, type=Passage)
        hops_after_s, broker_after_s = self._spent_s()
        return Chained(
            variant=self.variant,
            passage=passage,
            hops_us=(hops_after_s - hops_s) / passage.sent * 1e6,
            broker_us=(broker_after_s - broker_s) / passage.sent * 1e6,
        )

    def _spent_s(self) -> tuple[float, float]:
        *hops_s, broker_s = spent_s([*(hop.pid for hop in self.hops), self.stack.pid("kafka")])
        return sum(hops_s), broker_s


@contextlib.asynccontextmanager
async def chain(stack: Stack, variant: Variant, layout: Layout) -> AsyncIterator[Chain]:
    """Lend a chain: all hops in one process, or each in its own.

    Raises:
        PipelineError: A process of it ended.
    """
    topics = Topics(stack.kafka_bootstrap)
    run = topics.run
    for number in range(HOPS + 1):
        await topics.make(hop_topic(run, number))
    for number in range(HOPS):
        await topics.make(changelog(hop_stage(run, number)), compacted=True)
    numbers = [str(number) for number in range(HOPS)]
    shares = [numbers] if layout == "all-in-one" else [[number] for number in numbers]
    wanted = [(HOPS_MODULE, variant, run, *share) for share in shares]
    wanted.append((GENERATOR_MODULE, run))
    children: list[Child] = []
    try:
        for module, *arguments in wanted:
            child = await Child.start(stack.env, module, *arguments)
            children.append(child)
        await asyncio.gather(*(child.said() for child in children))  # each is ready
        yield Chain(stack, variant, children[:-1], children[-1])
    finally:
        await asyncio.gather(*(child.stop() for child in children))
        topics.remove()


@contextlib.asynccontextmanager
async def warm_stack(home: Path, tell: Tell) -> AsyncIterator[Stack]:
    """Lend a stack of its own, without our processes, whose broker has done some work."""
    async with running(StackOptions(home=home, own=False, alone=True, warm=False), tell) as stack:
        async with chain(stack, Variant.PLAIN, "all-in-one") as warming:
            await warming.burst(WARM_UP.rate, WARM_UP.seconds)
        yield stack
