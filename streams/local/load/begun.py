"""What every load begins with: a name, the way in, and the way to read what came of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from streams.clock import open_clock
from streams.kafka.reading import Reading
from streams.kafka.registry import open_codec
from streams.local.load.run import CONNECTIONS, Sender
from streams.local.outside import outside
from streams.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """One load against a running stack.

    Attributes:
        name: Told apart from every other run on the same topics.
        reading: Reads the topics.
        sender: Posts to the webhook.
    """

    name: str
    reading: Reading
    sender: Sender


@contextlib.asynccontextmanager
async def begun(current: Settings, rate: float) -> AsyncIterator[Begun]:
    """Open the outside of a running stack for one load.

    Args:
        current: Where its parts are.
        rate: Messages a second; 0 is no limit.

    Raises:
        Unavailable: The registry does not answer.
    """
    clock = open_clock(current)
    async with outside(current, CONNECTIONS) as world:
        yield Begun(
            name=f"{clock.now_ms():x}",
            reading=Reading(current.kafka_bootstrap, await open_codec(current)),
            sender=Sender(world, clock, rate),
        )
