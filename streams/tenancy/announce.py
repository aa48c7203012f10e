"""Settings that were stored are published until the log has them: store first, then publish."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

import structlog

from schemas.errors import Unavailable
from schemas.events import Event, SettingsChanged
from streams.kafka.publish import Publisher, record_of
from streams.kafka.registry import open_codec
from streams.settings import Settings

log = structlog.get_logger(__name__)

DEADLINE_S: Final = 30.0
RETRY_S: Final = 1.0

Publish = Callable[[Event], Awaitable[Any]]
"""Returns once all replicas have the event; raises Unavailable."""


class Stored(Protocol):
    """What is stored of companies (``sinks.tenants.Tenants``)."""

    def announcing(self) -> AbstractAsyncContextManager[None]:
        """Be the only one that publishes, as long as the block lasts."""

    async def unpublished(self) -> tuple[SettingsChanged, ...]:
        """Return the settings whose newest version is not surely on the log."""

    async def published(self, settings: SettingsChanged, /) -> None:
        """Remember that a version is on the log."""


async def announce(
    stored: Stored, publish: Publish, *, deadline_s: float = DEADLINE_S, retry_s: float = RETRY_S
) -> tuple[SettingsChanged, ...]:
    """Publish every settings version that is not surely on the log, of any company.

    A version that is published twice is the same record twice. One process at a time publishes:
    of two that change one company, the older version would else be the last on the topic.

    Args:
        stored: Where the settings are.
        publish: Puts one on the log.
        deadline_s: Seconds after which it gives up.
        retry_s: Seconds between two attempts.

    Returns:
        What was published.

    Raises:
        Unavailable: Kafka did not answer in time; what is stored stays unpublished.
    """
    async with stored.announcing():
        waiting = await stored.unpublished()
        try:
            async with asyncio.timeout(deadline_s):
                for settings in waiting:
                    await _until_published(publish, settings, retry_s)
                    await stored.published(settings)
        except TimeoutError as exc:
            raise Unavailable("kafka") from exc
    return waiting


async def _until_published(publish: Publish, settings: SettingsChanged, retry_s: float) -> None:
    while True:
        try:
            await publish(settings)
        except Unavailable as exc:
            log.warning("settings.waiting", service=exc.service, version=settings.version)
            await asyncio.sleep(retry_s)
        else:
            return


async def announce_from(
    stored: Stored, current: Settings, *, client_id: str
) -> tuple[SettingsChanged, ...]:
    """Announce through a producer of its own, which is opened only when something waits.

    Raises:
        Misconfigured: The topic or its schema is missing.
        Unavailable: Kafka or the registry does not answer.
    """
    if not await stored.unpublished():
        return ()
    codec = await open_codec(current)
    publisher = Publisher(current.kafka_bootstrap, client_id=client_id)
    try:
        await publisher.start()

        async def publish(event: Event) -> None:
            await (await publisher.post(record_of(event, codec)))

        return await announce(stored, publish)
    finally:
        await publisher.stop()
