"""What a fault needs to strike: the stack, those outside, and what writes down the commits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

from schemas.errors import PipelineError
from schemas.topics import STATEFUL_STAGES
from streams.kafka.naming import group_of
from streams.local.chaos.catalogue import stage_of
from streams.local.chaos.customers import Customers
from streams.local.chaos.proxy import Proxy
from streams.local.chaos.witness import Witness
from streams.local.outside import FAULTS
from streams.local.stack import Stack
from streams.settings import Settings

LOOK_S = 0.05
AGAIN_S = 1.0
READY_S = 120.0
NEEDED = ("kafka", "postgres")
"""Parts by the first word of their names."""
Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class Ground:
    """Where one run's faults happen.

    Attributes:
        stack: The stack.
        current: Where its parts are, past every proxy.
        customers: Everybody outside.
        witness: Looks at commits when somebody has died.
        proxies: What stands before the brokers, if anything does.
        total: Messages of the run.
        say: Told what happens.
        held: A part that is being struck is not struck by another fault meanwhile.
    """

    stack: Stack
    current: Settings
    customers: Customers
    witness: Witness
    proxies: Sequence[Proxy]
    total: int
    say: Say
    held: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def idle(self, part: str) -> bool:
        """Tell whether nothing new comes to a part: all is sent, and no other part is struck."""
        others = any(lock.locked() for name, lock in self.held.items() if name != part)
        return self.customers.begun >= self.total and not others

    async def reach(self, share: float) -> None:
        """Wait until this share of the messages has been sent."""
        while self.customers.begun < share * self.total:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(LOOK_S)

    @contextlib.asynccontextmanager
    async def holding(self, parts: Sequence[str]) -> AsyncIterator[None]:
        """Have parts alone as long as the block lasts; taken in one order by everybody."""
        async with contextlib.AsyncExitStack() as held:
            for part in sorted(parts):
                await held.enter_async_context(self.held[part])
            yield

    async def note_commits(self) -> None:
        """Write down what is committed, if anybody can tell."""
        try:
            await self.witness.look_at_commits()
        except PipelineError as exc:
            self.say(f"nobody can tell what is committed: {exc}")

    async def ready(self, part: str) -> bool:
        """Wait until a process of ours is ready; say whether it is, in time."""
        url = f"http://{self.current.http_host}:{self.stack.port(part)}/health/ready"
        return await comes_ready(self.customers.world.client, url, READY_S)

    def refusals(self) -> int:
        """Return how often the webhook has said 503 so far."""
        return self.customers.refused["503"]


def group_of_worker(part: str) -> str:
    """Return the consumer group of a worker process that has a table."""
    stage = stage_of(part)
    return group_of((stage,) if stage else STATEFUL_STAGES)


async def last_words(stack: Stack, part: str, began: int, patience_s: float) -> bytes:
    """Wait for the end of a part, but not for ever; return its log since a place of it.

    Time in which another fault has taken what every worker needs does not count.
    """
    while patience_s > 0 and stack.ended(part) is None:
        await asyncio.sleep(LOOK_S)
        patience_s -= LOOK_S * served(stack)
    with stack.log(part).open("rb") as file:
        file.seek(began)
        return file.read()


def served(stack: Stack) -> bool:
    """Tell whether the brokers and Postgres run, without which no worker gets anywhere."""
    needed = (name for name in stack.names if name.partition("-")[0] in NEEDED)
    return all(stack.ended(name) is None for name in needed)


async def comes_ready(client: aiohttp.ClientSession, url: str, patience_s: float) -> bool:
    """Ask a process until it says that it is ready; say whether it did, in time."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        with contextlib.suppress(*FAULTS):
            async with client.get(url) as answer:
                if answer.ok:
                    return True
        await asyncio.sleep(AGAIN_S)
    return False


async def lasting(seconds: float) -> float:
    """Wait; return how long it was."""
    began = time.monotonic()
    await asyncio.sleep(seconds)
    return round(time.monotonic() - began, 1)
