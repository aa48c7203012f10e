"""The API's process: opens what it needs, serves until it is told to stop, closes it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import asyncpg

from schemas.errors import Unavailable
from schemas.events import Event
from schemas.topics import HUMAN_REPLIED
from sinks.conversations import Conversations
from sinks.database import open_pool, reachable
from streams.api.app import rest, with_feed
from streams.api.rooms import feed_server
from streams.api.routes import Desk
from streams.api.tokens import signing_key
from streams.clock import open_clock
from streams.kafka.publish import Publisher, record_of
from streams.kafka.registry import open_codec
from streams.patience import patiently
from streams.server.listening import listen
from streams.server.serving import server_of, until_asked
from streams.settings import Settings, require_secrets

CHECK_S: Final = 2.0


@asynccontextmanager
async def application(settings: Settings) -> AsyncIterator[Any]:
    """Yield the ASGI application with everything behind it open.

    Raises:
        Misconfigured: A secret is not set, or the topics' schemas are missing. What does not
            answer is waited for.
    """
    require_secrets(settings, "api_token")
    pool = await open_pool(settings.postgres_dsn.get_secret_value(), name="whaticket.api")
    publisher = Publisher(settings.kafka_bootstrap, client_id=f"whaticket.api.{settings.instance}")
    conversations = Conversations(pool)
    try:
        codec = await patiently("schemas", partial(open_codec, settings))
        await patiently("publisher", publisher.start)

        async def publish(event: Event) -> None:
            await (await publisher.post(record_of(event, codec)))

        clock = open_clock(settings)
        desk = Desk(conversations, publish, clock=clock, timeout_s=settings.produce_timeout_s)
        app = rest(
            desk,
            token=settings.api_token.get_secret_value(),
            checks=lambda: checked(pool, publisher),
        )
        feed, rooms = feed_server(
            settings.redis_url.get_secret_value(), conversations, signing_key(settings)
        )
        try:
            yield with_feed(app, feed)
        finally:
            await rooms.close()
    finally:
        await publisher.stop()
        await pool.close()


async def checked(pool: asyncpg.Pool, publisher: Publisher) -> Mapping[str, bool]:
    """Tell which dependencies answer."""

    async def postgres() -> None:
        with reachable():
            await pool.fetchval("SELECT 1")

    async def kafka() -> None:
        if publisher.producer is None:
            raise Unavailable("kafka")
        if not await publisher.producer.client.force_metadata_update():
            raise Unavailable("kafka")
        await publisher.producer.partitions_for(HUMAN_REPLIED.name)

    return {"postgres": await _answers(postgres), "kafka": await _answers(kafka)}


async def _answers(ask: Callable[[], Awaitable[None]]) -> bool:
    try:
        async with asyncio.timeout(CHECK_S):
            await ask()
    except (Unavailable, TimeoutError):
        return False
    return True


async def serve(settings: Settings, told: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: Of this process.
        told: Is given the one line that says where it listens.
    """
    async with application(settings) as app:
        listening = listen(settings.http_host, settings.api_port, "API_PORT")
        host, port = listening.getsockname()[:2]
        told(f"people's API listens on http://{host}:{port}")
        await until_asked(server_of(app, websockets=True), listening)
