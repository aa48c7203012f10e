"""The feed's ear: how an API process hears the writers through Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import structlog
from redis.exceptions import RedisError
from socketio import AsyncRedisManager

from streams.logs import place

log = structlog.get_logger(__name__)

AGAIN_S: Final = 0.5
"""How long after Redis was away it is tried again. Writers wait some seconds for who listened
before (``streams.api.feed``); python-socketio would double its wait up to a minute."""


class Ear(AsyncRedisManager):  # type: ignore[misc]  # python-socketio has no types
    """Listens again soon after Redis is back, however long it was away."""

    async def _redis_listen_with_retries(self) -> AsyncIterator[Any]:
        """Yield what Redis brings, for ever; python-socketio calls it by this name."""
        deaf = False  # an outage is told once
        while True:
            try:
                self._redis_connect()
                pubsub = self.pubsub
                try:
                    await pubsub.subscribe(self.channel)
                    deaf = False
                    async for message in pubsub.listen():
                        yield message
                finally:
                    with contextlib.suppress(RedisError, OSError):
                        await pubsub.aclose()
            except Exception as exc:  # noqa: BLE001 - who listens no more shows nothing until a restart
                if not deaf:
                    log.warning("feed.deaf", error=place(exc))
                deaf = True
            await asyncio.sleep(AGAIN_S)
