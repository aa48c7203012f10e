"""A migrated database with two companies, and the REST API over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import asyncpg
import httpx
import pytest
from cryptography.fernet import Fernet

from schemas.codec import Codec
from schemas.errors import Unavailable
from schemas.events import Event
from sinks.conversations import Conversations
from sinks.database import open_pool
from sinks.migrations import migrate
from sinks.tenants import Tenants
from sinks.vault import Vault
from streams.api.app import rest
from streams.api.routes import Desk
from streams.server.http import RequestMetrics

BEARER = "a-long-bearer-token"


@dataclass
class Log:
    """Stands for Kafka: keeps what was published, may be down or slow."""

    events: list[Event] = field(default_factory=list)
    down: bool = False
    slow: bool = False

    async def publish(self, event: Event) -> None:
        if self.down:
            raise Unavailable("kafka")
        if self.slow:
            await asyncio.Event().wait()
        Codec.offline().encode(event)  # it fits its schema
        self.events.append(event)


class Clock:
    """A clock that is set by hand."""

    now = 1_790_000_000_000

    def now_ms(self) -> int:
        return self.now


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(postgres_dsn, max_size=5)
    try:
        await migrate(pool)
        tenants = Tenants(pool, Vault(Fernet.generate_key().decode()))
        for tenant_id in ("acme", "other"):
            if await tenants.get(tenant_id) is None:
                await tenants.add(tenant_id, {})
        yield pool
    finally:
        await pool.close()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def api(pool: asyncpg.Pool, log: Log, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    desk = Desk(Conversations(pool), log.publish, clock=clock, timeout_s=0.2)

    async def checks() -> Mapping[str, bool]:
        return {"kafka": not log.down}

    app = RequestMetrics(rest(desk, token=BEARER, checks=checks))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://api",
        headers={"authorization": f"Bearer {BEARER}"},
    ) as client:
        yield client
