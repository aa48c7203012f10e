"""The process that sends records into a chain and reads what comes out: the same for every chain.

``python -m streams.local.bench.generator RUN`` says ``ready``, answers each `Burst` with a
`Passage`, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import Final

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from msgspec import Struct

from schemas.events import MessageReceived
from streams.interpreter import prepare
from streams.local.bench.child import orders, say
from streams.local.bench.hops import READY
from streams.local.bench.loops import consuming, fetched, producing
from streams.local.bench.pace import paced
from streams.local.bench.passage import Arrival, Passage, judge
from streams.local.bench.topics import HOPS, hop_topic
from streams.local.bench.work import WAMID, Renamed, event
from streams.logs import configure
from streams.settings import load

CHARS: Final = 640
"""A record of 1 KB."""
STALLED_S: Final = 20.0
"""When nothing more has come for so long, what is missing is lost."""
AGAIN_S: Final = 1.0
"""How long something may come again after all is out."""


class Burst(Struct, frozen=True):
    """Records to send.

    Attributes:
        rate: A second.
        seconds: For how long.
    """

    rate: float
    seconds: float


class Generator:
    """Sends, and reads the end of the chain."""

    def __init__(self, run: str, producer: AIOKafkaProducer, last: AIOKafkaConsumer) -> None:
        self.source = hop_topic(run, 0)
        self.codec = Renamed(self.source, hop_topic(run, HOPS))
        self.producer = producer
        self.last = last
        self.sent = 0
        self.arrived: list[Arrival] = []
        self.came = asyncio.Event()

    async def follow(self) -> None:
        """Note what comes out until cancelled."""
        while True:
            records = await fetched(self.last)
            now = time.monotonic_ns()
            for record in records:
                said = self.codec.decode(record.value)
                if isinstance(said, MessageReceived):
                    number = int(said.wamid.removeprefix(WAMID))
                    self.arrived.append((number, now, said.conversation_id))
            if records:
                self.came.set()

    async def burst(self, burst: Burst) -> Passage:
        """Send records, each at its time; return what became of them."""
        first, self.arrived = self.sent, []
        sent_ns, posted = [], []
        async for number in paced(int(burst.rate * burst.seconds), burst.rate):
            said = event(self.source, first + number, CHARS)
            key, value = said.conversation_id.encode(), self.codec.encode(said)
            sent_ns.append(time.monotonic_ns())
            posted.append(await self.producer.send(self.source, value, key))
        self.sent += len(sent_ns)
        await asyncio.gather(*posted)
        await self._until_out(len(sent_ns))
        await asyncio.sleep(AGAIN_S)
        return judge(burst.rate, first, sent_ns, self.arrived)

    async def _until_out(self, count: int) -> None:
        with contextlib.suppress(TimeoutError):
            while len(self.arrived) < count:
                self.came.clear()
                await asyncio.wait_for(self.came.wait(), STALLED_S)


async def serve(bootstrap: str, run: str) -> None:
    """Do what the parent orders, until it orders no more."""
    producer = producing(bootstrap)
    last = consuming(bootstrap, hop_topic(run, HOPS), group=None)
    async with contextlib.AsyncExitStack() as opened:
        await opened.enter_async_context(producer)
        await opened.enter_async_context(last)
        generator = Generator(run, producer, last)
        following = asyncio.create_task(generator.follow())
        say(READY)
        try:
            async for line in await orders():
                passage = await generator.burst(msgspec.json.decode(line, type=Burst))
                if following.done():
                    following.result()
                say(msgspec.json.encode(passage))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


if __name__ == "__main__":
    configure("error", service="bench")
    prepare()
    uvloop.run(serve(load().kafka_bootstrap, sys.argv[1]))
