"""The feed's writing end: what transcripts changed -> Redis -> every API process -> consoles.

Rule 1: ``publish`` only queues: neither Redis nor a slow console ever holds up a transcript.
Rule 2: the queue is bounded; what it cannot hold is dropped, counted, and never in the wrong
order. Consoles that missed something read it through the API.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from typing import Final

import asyncpg
import msgspec
import structlog
from redis.exceptions import RedisError
from socketio import AsyncRedisManager

from schemas.errors import PipelineError
from sinks.changes import Changes
from sinks.conversations import Conversations
from streams.api.dialect import Emit, emits
from streams.logs import place
from streams.metrics import FEED_EMITS

log = structlog.get_logger(__name__)

ENCODER: Final = msgspec.json.Encoder()

MOST: Final = 2_000
"""Batches that wait for Redis."""
MOST_CHANGES: Final = 100_000
"""Messages and tickets of them all, of 400 bytes each."""

RETRY_S: Final = 1.0
TIMEOUT_S: Final = 2.0
LAST_S: Final = 2.0
"""How long a process that stops goes on sending what it has just written: no other one has it."""

CHANNEL: Final = "whaticket.feed"
"""Redis channel between the writers and the API processes."""


BACK_S: Final = 5.0
"""How long is waited for who listened before: much longer than they wait to listen again."""
LOOK_S: Final = 0.25


class Bus(AsyncRedisManager):  # type: ignore[misc]  # python-socketio has no types
    """Sends to the API processes through Redis; unlike its parent it tells when it could not.

    Attributes:
        listeners: How many of them heard the newest message.
    """

    listeners = 0

    def __init__(self, redis_url: str) -> None:
        super().__init__(
            redis_url,
            channel=CHANNEL,
            write_only=True,
            redis_options={"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S},
        )

    def message(self, emit: Emit) -> bytes:
        """Return what the parent's ``emit`` publishes; it looks for bytes in all of a body first.

        That and Python's own JSON took 75 µs for each event.
        """
        return ENCODER.encode(
            {
                "method": "emit",
                "event": emit.event,
                "data": [emit.body],
                "binary": False,
                "namespace": "/",
                "room": emit.rooms,
                "skip_sid": None,
                "callback": None,
                "host_id": self.host_id,
            }
        )

    async def send(self, emits: Iterable[Emit]) -> None:
        """Send events, in their order, in one round trip; again when not all heard them.

        Redis forgets who listens when it restarts, and what it is told then is heard by nobody.
        Consoles know an event that comes twice.

        Raises:
            RedisError: Redis is down; how many of them it has is not known.
        """
        messages = [self.message(emit) for emit in emits]
        heard = await self._said(messages)
        if heard < self.listeners and await self._all_back():
            heard = await self._said(messages)
        self.listeners = heard

    async def _said(self, messages: list[bytes]) -> int:
        """Publish messages; return how many API processes heard them all."""
        if not self.connected:
            self._redis_connect()
        pipeline = self.redis.pipeline(transaction=False)
        for message in messages:
            pipeline.publish(self.channel, message)
        return min(await pipeline.execute(), default=self.listeners)

    async def _all_back(self) -> bool:
        """Wait until as many listen as before, but not for long: one of them may have ended."""
        for _ in range(int(BACK_S / LOOK_S)):
            await asyncio.sleep(LOOK_S)
            ((_, listening),) = await self.redis.pubsub_numsub(self.channel)
            if listening >= self.listeners:
                return True
        return False

    async def close(self) -> None:
        """Disconnect."""
        if self.redis is not None:
            await self.pubsub.aclose()
            await self.redis.aclose()
        self.connected = False


class HelpdeskFeed:
    """The ``sinks.changes.Feed`` of production; one for each process that writes transcripts."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        redis_url: str,
        *,
        most: int = MOST,
        most_changes: int = MOST_CHANGES,
    ) -> None:
        self.most = most
        self.most_changes = most_changes
        self.conversations = Conversations(pool)
        self.bus = Bus(redis_url)
        self.waiting: deque[Changes] = deque()
        self.held = 0
        self.woken = asyncio.Event()
        self.idle = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def publish(self, changes: Changes, /) -> None:
        """Queue what changed; starts the sending task at the first call."""
        if self.task is None:
            self.task = asyncio.create_task(self._send_all(), name="feed")
        self.idle.clear()
        self.waiting.append(changes)
        self.held += _size(changes)
        while self._full():
            self._next()
            FEED_EMITS.labels("dropped").inc()
        self.woken.set()

    async def stop(self) -> None:
        """Send what waits, unless Redis or Postgres is away; then no more."""
        if self.task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.idle.wait(), LAST_S)
            if not self.idle.is_set():
                log.warning("feed.dropped", batches=1 + len(self.waiting))
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task
        await self.bus.close()

    async def _send_all(self) -> None:
        while True:
            self.woken.clear()
            while self.waiting:
                await self._send(self._next())
            self.idle.set()
            await self.woken.wait()

    def _full(self) -> bool:
        batches = len(self.waiting)
        return batches > self.most or (batches > 1 and self.held > self.most_changes)

    def _next(self) -> Changes:
        """Take the oldest that waits."""
        oldest = self.waiting.popleft()
        self.held -= _size(oldest)
        return oldest

    async def _send(self, changes: Changes) -> None:
        """Send one batch; wait for Redis or Postgres as long as it takes.

        Each try reads anew: what has become of a ticket meanwhile may have been sent already, by
        another worker, and what is sent last is what consoles show.
        """
        while True:
            try:
                found = await self._read(changes)
                await self.bus.send(found)
            except (RedisError, OSError, TimeoutError, PipelineError) as exc:
                FEED_EMITS.labels("failed").inc()
                log.warning("feed.waiting", error=place(exc))
                await asyncio.sleep(RETRY_S)
            except Exception as exc:  # noqa: BLE001 - the last resort of the feed's own loop: one
                # batch that cannot be shown must not end the feed
                FEED_EMITS.labels("failed").inc()
                log.error("feed.bug", error=place(exc))  # noqa: TRY400 - its text may quote a row
                return
            else:
                FEED_EMITS.labels("sent").inc(len(found))
                return

    async def _read(self, changes: Changes) -> list[Emit]:
        tickets = await self.conversations.tickets(
            [*changes.moved, *(message.key for message in changes.messages)]
        )
        wanted = [
            (*message.key, name)
            for message in changes.messages
            for name in (message.id, message.target_wamid)
            if name is not None
        ]
        bubbles = await self.conversations.bubbles(wanted) if wanted else []
        return list(emits(changes, tickets, bubbles))


def _size(changes: Changes) -> int:
    return len(changes.messages) + len(changes.moved)
