"""Variants of a hop one after another, each in a process of its own.

In one process for all, whoever comes later pays for what was before: our loop after Faust took 8
to 15 % more CPU time than by itself.

``python -m streams.local.bench.variants EVENTS VARIANT`` says the figure of one variant, as one
line of JSON.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import msgspec
import uvloop

from streams.interpreter import prepare
from streams.local.bench.child import Child, say
from streams.local.bench.figure import Figure
from streams.local.bench.hop import VANILLA, Bench
from streams.logs import configure
from streams.settings import load

MODULE: Final = "streams.local.bench.variants"


async def in_turns(
    env: Mapping[str, str], variants: Sequence[str], events: int, turns: int
) -> AsyncIterator[Figure]:
    """Yield what each variant did, so many times each, in turns.

    Args:
        env: Environment of their processes: where Kafka is.
        variants: Their names.
        events: Records that each relays, each time.
        turns: How many times; a machine's speed changes while it is measured, and so all of them
            are measured under each of its moods.

    Raises:
        PipelineError: A process ended without a figure.
    """
    for _ in range(turns):
        for variant in variants:
            child = await Child.start(env, MODULE, str(events), variant)
            try:
                yield msgspec.json.decode(await child.said(), type=Figure)
            finally:
                await child.stop()


async def _measure(events: int, variant: str) -> None:
    say(msgspec.json.encode(await Bench(load(), events).measure(variant)))


if __name__ == "__main__":
    configure("error", service="bench")
    _, _events, _variant = sys.argv
    if _variant == VANILLA:  # as its own worker runs it
        asyncio.run(_measure(int(_events), _variant))
    else:
        prepare()
        uvloop.run(_measure(int(_events), _variant))
