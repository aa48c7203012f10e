"""The webhook as a process, on the real Kafka, registry and Postgres, with one tenant."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaConsumer

from schemas.events import Event
from sinks.database import open_pool
from sinks.migrations import migrate
from sinks.producers import Producers
from sinks.tenants import Tenants
from sinks.vault import Vault
from streams.kafka.publish import Publisher, record_of
from streams.kafka.registry import open_codec
from streams.settings import Settings
from tests.streams.processes import Process, environment, started
from tests.streams.webhook.world import SECRET, TOKEN, signature


@dataclass(frozen=True, kw_only=True)
class Running(Process):
    """A webhook process and the tenant that it serves; names are new for every process."""

    settings: Settings
    producer_secret: str
    app: str
    tenant: str
    number: str

    @property
    def path(self) -> str:
        return f"/webhooks/whatsapp/{self.app}"

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=20)

    async def post(self, body: object, **headers: str) -> httpx.Response:
        """Post one body, rightly signed unless a header says otherwise."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.client() as client:
            return await client.post(
                self.path, content=raw, headers={"X-Hub-Signature-256": signature(raw), **headers}
            )


@dataclass(frozen=True)
class _Names:
    app: str = field(default_factory=lambda: f"app-{uuid4().hex[:8]}")
    tenant: str = field(default_factory=lambda: f"acme-{uuid4().hex[:8]}")
    number: str = field(default_factory=lambda: str(uuid4().int)[:15])


async def _seed(settings: Settings, dsn: str, names: _Names) -> str:
    pool = await open_pool(dsn)
    publisher = Publisher(settings.kafka_bootstrap, client_id="test.webhook")
    await publisher.start()
    try:
        await migrate(pool)
        key = settings.secrets_key.get_secret_value()
        tenants = Tenants(pool, Vault(key))
        await tenants.add(names.tenant, {})
        await tenants.add_app(names.app, verify_token=TOKEN, secret=SECRET)
        changed = await tenants.add_channel(
            names.tenant, names.number, app_id=names.app, token="access"
        )
        await (await publisher.post(record_of(changed, await open_codec(settings))))
        return await Producers(pool, key).add("crm", names.tenant)
    finally:
        await publisher.stop()
        await pool.close()


@contextmanager
def webhook_process(settings: Settings, postgres_dsn: str, log: Path) -> Iterator[Running]:
    """Run a webhook until the block ends."""
    names = _Names()
    with ThreadPoolExecutor(1) as threads:
        seeding = threads.submit(lambda: asyncio.run(_seed(settings, postgres_dsn, names)))
        secret = seeding.result()
    with started("webhook", environment(settings, postgres_dsn), log) as process:
        yield Running(
            url=process.url,
            process=process.process,
            log=process.log,
            env=process.env,
            settings=settings,
            producer_secret=secret,
            app=names.app,
            tenant=names.tenant,
            number=names.number,
        )


@asynccontextmanager
async def reading(settings: Settings, *topics: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Read topics from now on."""
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=settings.kafka_bootstrap)
    await consumer.start()
    try:
        await consumer.seek_to_end()
        for place in consumer.assignment():
            await consumer.position(place)
        yield consumer
    finally:
        await consumer.stop()


async def events(consumer: AIOKafkaConsumer, settings: Settings, count: int) -> list[Event]:
    """Return the next events, each of which lies under its conversation."""
    codec = await open_codec(settings)
    found: list[Event] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    event = await codec.read(record.value)
                    assert record.key == event.conversation_id.encode()
                    found.append(event)
    return found
