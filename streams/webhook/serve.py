"""The webhook as a process: opens what it needs, serves, and stops in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import asyncpg
import structlog
from aiokafka.errors import KafkaError
from fastapi import FastAPI

from schemas.errors import Misconfigured
from sinks.channels import Channels
from sinks.database import open_pool
from sinks.identity import Identities
from sinks.processes import Processes
from sinks.producers import Producers
from sinks.rawparts import RawParts
from streams.clock import open_clock
from streams.kafka.partitioner import check_partitioner
from streams.kafka.publish import Publisher
from streams.kafka.registry import open_codec
from streams.patience import patiently
from streams.server.listening import listen
from streams.server.serving import STOP_S, server_of, until_asked
from streams.settings import Settings, require_secrets
from streams.tenancy.presence import Presence
from streams.tenancy.tenants import TenantSettings
from streams.webhook.app import build
from streams.webhook.inbox import Inbox
from streams.webhook.producers import Doorway

log = structlog.get_logger(__name__)

CHECK_S: Final = 1.0
"""How long a dependency may take to say that it is there."""

HASH_KEY_BYTES: Final = 32


def hash_key(settings: Settings) -> bytes:
    """Return the key of conversation ids.

    Raises:
        Misconfigured: It is not 32 bytes in hex.
    """
    try:
        key = bytes.fromhex(settings.hash_key.get_secret_value())
    except ValueError:
        key = b""
    if len(key) != HASH_KEY_BYTES:
        raise Misconfigured("HASH_KEY must be 32 bytes in hex: run `whaticket keys`")
    return key


@dataclass(frozen=True, slots=True)
class _Checks:
    """Asks what the webhook depends on."""

    pool: asyncpg.Pool
    publisher: Publisher
    tenants: TenantSettings

    async def __call__(self) -> Mapping[str, bool]:
        kafka, postgres = await asyncio.gather(self._kafka(), self._postgres())
        return {
            "kafka": kafka,
            "postgres": postgres,
            "settings": self.tenants.complete.is_set(),
        }

    async def _kafka(self) -> bool:
        producer: Any = self.publisher.producer
        if producer is None:
            return False
        try:
            async with asyncio.timeout(CHECK_S):
                return bool(await producer.client.force_metadata_update())
        except (KafkaError, OSError, TimeoutError):
            return False

    async def _postgres(self) -> bool:
        try:
            async with asyncio.timeout(CHECK_S):
                return bool(await self.pool.fetchval("select 1"))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return False


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[FastAPI]:
    """Open everything that the webhook needs, and close it in the opposite order.

    Raises:
        Misconfigured: A setting, topic or schema is missing. What does not answer is waited for.
    """
    require_secrets(settings, "hash_key", "secrets_key")
    check_partitioner()
    key = hash_key(settings)
    client_id = f"whaticket.webhook.{settings.instance}"
    async with AsyncExitStack() as stack:
        codec = await patiently("schemas", partial(open_codec, settings))
        pool = await open_pool(settings.postgres_dsn.get_secret_value(), name=client_id)
        stack.push_async_callback(_close, pool)
        publisher = _publisher(settings, client_id)
        await patiently("publisher", publisher.start)
        stack.push_async_callback(publisher.stop)
        tenants = TenantSettings(
            settings.kafka_bootstrap,
            codec,
            client_id=client_id,
            told=Presence(Processes(pool), client_id),
        )
        stack.push_async_callback(tenants.stop)
        await patiently("settings of tenants", tenants.start)
        inbox = Inbox(
            numbers=tenants,
            people=Identities(pool, key),
            keeping=RawParts(pool),
            posting=publisher,
            codec=codec,
            clock=open_clock(settings),
            timeout_s=settings.produce_timeout_s,
        )
        yield _application(settings, inbox, _Checks(pool, publisher, tenants))


def _publisher(settings: Settings, client_id: str) -> Publisher:
    return Publisher(
        settings.kafka_bootstrap,
        client_id=client_id,
        linger_ms=settings.linger_ms,
        # Long after it, a record whose sender was told 503 is not worth sending any more.
        request_timeout_ms=max(int(settings.produce_timeout_s * 2000), 4000),
    )


def _application(settings: Settings, inbox: Inbox, checks: _Checks) -> FastAPI:
    secrets_key = settings.secrets_key.get_secret_value()
    senders = Producers(checks.pool, secrets_key)
    return build(
        inbox,
        secrets=Channels(checks.pool, secrets_key),
        doorway=Doorway(inbox, senders, checks.tenants, inbox.clock),
        checks=checks,
    )


async def _close(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(STOP_S):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def serve(settings: Settings, told: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: Of this process.
        told: Is given the one line that says where it listens.
    """
    async with opened(settings) as app:
        listening = listen(settings.http_host, settings.webhook_port, "WEBHOOK_PORT")
        host, port = listening.getsockname()[:2]
        told(f"webhook listens on http://{host}:{port}")
        log.info("webhook.started", port=port)
        await until_asked(server_of(app), listening)
        log.info("webhook.stopped")
