"""The process that runs hops of a chain, one of them or all: the loop's, or plain ones.

``python -m streams.local.bench.hops VARIANT RUN HOP [HOP…]`` says ``ready``, and works until its
standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Any, Final

import uvloop

from schemas.codec import Codec
from schemas.errors import PipelineError
from streams.clock import WallClock
from streams.engine import Engine
from streams.interpreter import prepare
from streams.kafka.publish import Publisher
from streams.local.bench.child import orders, say
from streams.local.bench.loops import loops
from streams.local.bench.topics import PARTITIONS, hop_stage, hop_topic
from streams.local.bench.work import Renamed, stage
from streams.logs import configure
from streams.settings import Settings, load

READY: Final = b"ready"


class Variant(StrEnum):
    """What the hops are; the value is its name in the tables."""

    PLAIN = "plain chain"
    """Plain aiokafka loops that do no work."""
    WORKING = "plain chain, same work"
    """Plain aiokafka loops that decode, decide and encode as the loop does."""
    OURS = "our loop"
    """The loop, with every protection."""


async def serve(current: Settings, variant: Variant, run: str, hops: Sequence[int]) -> None:
    """Run hops until standard input ends.

    Raises:
        PipelineError: They ended before.
    """
    if variant is Variant.OURS:
        running = stages(current, run, hops)
    else:
        working = variant is Variant.WORKING
        running = loops(current.kafka_bootstrap, run, hops, working=working)
    async with running as ended:
        say(READY)
        told = asyncio.ensure_future((await orders()).read())
        await asyncio.wait({told, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            ended.result()
            raise PipelineError("the hops ended by themselves")


@contextlib.asynccontextmanager
async def stages(
    current: Settings, run: str, hops: Sequence[int]
) -> AsyncIterator[asyncio.Future[Any]]:
    """Run hops of the loop in one worker; yields what ends only when it fails."""
    settings = current.model_copy(update={"topic_partitions": PARTITIONS})
    codec = Codec.offline()
    name = hop_stage(run, hops[0])
    publisher = Publisher(settings.kafka_bootstrap, client_id=name, linger_ms=settings.linger_ms)
    made = [
        stage(hop_stage(run, number), _work(run, number, codec), settings.max_inflight)
        for number in hops
    ]
    engine = Engine(settings, made, codec, publisher, clock=WallClock(), group=name)
    await publisher.start()
    await engine.check()
    await engine.start()
    ended = asyncio.ensure_future(engine.app.wait_until_stopped())
    try:
        yield ended
    finally:
        ended.cancel()
        await engine.stop(leave=True)
        await publisher.stop()


def _work(run: str, number: int, codec: Codec) -> Renamed:
    return Renamed(hop_topic(run, number), hop_topic(run, number + 1), codec)


if __name__ == "__main__":
    configure("error", service="bench")
    prepare()
    _, _variant, _run, *_hops = sys.argv
    uvloop.run(serve(load(), Variant(_variant), _run, [int(number) for number in _hops]))
