from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from schemas.errors import Rejected
from schemas.events import Event
from sinks.database import open_pool
from sinks.migrations import migrate
from sinks.processes import LIVE_S, Processes
from streams.kafka.registry import open_codec
from streams.settings import Settings
from streams.tenancy.presence import Presence
from streams.tenancy.tenants import Reader, TenantSettings
from tests.streams.cli.conftest import CommandLine

pytestmark = pytest.mark.integration


class Blind:
    """Reads nothing: as a process whose release is older than what was written."""

    async def read(self, raw: bytes | None, /) -> Event:
        raise Rejected("bad_avro", f"{len(raw or b'')} bytes")


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(postgres_dsn)
    try:
        await migrate(pool)
        await pool.execute("DELETE FROM processes")
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def process(
    settings: Settings, pool: asyncpg.Pool, name: str, codec: Reader
) -> AsyncIterator[TenantSettings]:
    """What keeps the settings in a worker or webhook."""
    known = TenantSettings(
        settings.kafka_bootstrap, codec, told=Presence(Processes(pool), name, heartbeat_s=0.1)
    )
    try:
        await known.start()
        yield known
    finally:
        await known.stop()


async def test_a_change_is_in_use_everywhere_when_the_command_returns(
    whaticket: CommandLine, provisioned: Settings, pool: asyncpg.Pool
) -> None:
    tenant, codec = f"t-{uuid4().hex[:8]}", await open_codec(provisioned)
    async with AsyncExitStack() as stack:
        both = [
            await stack.enter_async_context(process(provisioned, pool, name, codec))
            for name in ("whaticket.pipeline.0", "whaticket.webhook.0")
        ]

        added = await whaticket.run("tenant", "add", tenant)
        after_add = [known.get(tenant) for known in both]
        waits = [asyncio.ensure_future(known.stopped(tenant)) for known in both]
        killed = await whaticket.run("tenant", "set", tenant, "ai_enabled=false")
        after_set = [known.get(tenant) for known in both]
        await asyncio.gather(*waits)
        listed = await whaticket.run("processes")
    stopped = await whaticket.run("tenant", "publish", tenant)

    assert [each.ai_enabled for each in after_add if each] == [True, True]
    assert [each.ai_enabled for each in after_set if each] == [False, False]
    use = "in use by 2 of 2 live processes\n"
    assert added == (0, f"{tenant} is at version 1, published\n{use}")
    assert killed == (0, f"{tenant} is at version 2, published\n{use}")
    assert listed[0] == 0
    assert listed[1].count("\tlive\t") == 2
    assert stopped == (0, "published 1\nno process is live to use it\n")


async def test_a_process_that_cannot_use_a_change_is_named_and_the_change_is_published(
    whaticket: CommandLine, provisioned: Settings, pool: asyncpg.Pool
) -> None:
    tenant, codec = f"t-{uuid4().hex[:8]}", await open_codec(provisioned)
    async with (
        process(provisioned, pool, "whaticket.ai.sees", codec) as sees,
        process(provisioned, pool, "whaticket.ai.blind", Blind()),
    ):
        code, said = await whaticket.run("tenant", "add", tenant, "--wait", "1")
        known = sees.get(tenant)
        unasked = await whaticket.run("tenant", "set", tenant, "name=Ana", "--wait", "0")

    assert code == 3
    assert "published, but 1 of 2 live processes did not report within 1 s" in said
    assert "whaticket.ai.blind (applied " in said
    assert "whaticket.ai.sees" not in said
    assert known is not None
    assert unasked == (0, f"{tenant} is at version 2, published\n")


class Publishing(Presence):
    """Publishes as soon as it is on the list: nothing of that may be missed."""

    def __init__(self, pool: asyncpg.Pool, whaticket: CommandLine, tenant: str) -> None:
        super().__init__(Processes(pool), "whaticket.webhook.new")
        self.whaticket = whaticket
        self.tenant = tenant

    async def join(self) -> None:
        await super().join()
        await self.whaticket.run("tenant", "add", self.tenant, "--wait", "0")


async def test_a_process_that_is_on_the_list_does_not_serve_without_what_is_published(
    whaticket: CommandLine, provisioned: Settings, pool: asyncpg.Pool
) -> None:
    tenant, codec = f"t-{uuid4().hex[:8]}", await open_codec(provisioned)
    told = Publishing(pool, whaticket, tenant)
    known = TenantSettings(provisioned.kafka_bootstrap, codec, told=told)

    await known.start()
    found = known.get(tenant)
    await known.stop()

    assert found is not None


async def test_a_crashed_process_is_not_waited_for(
    whaticket: CommandLine, provisioned: Settings, pool: asyncpg.Pool
) -> None:
    tenant, codec = f"t-{uuid4().hex[:8]}", await open_codec(provisioned)
    await Processes(pool).report(uuid4(), "whaticket.webhook.crashed", 0)
    await pool.execute(
        "UPDATE processes SET heartbeat_at = heartbeat_at - make_interval(secs => $1)", LIVE_S
    )
    async with process(provisioned, pool, "whaticket.webhook.0", codec):
        added = await whaticket.run("tenant", "add", tenant)
        listed = await whaticket.run("processes")

    assert added[0] == 0
    assert added[1].endswith("in use by 1 of 1 live processes\n")
    assert "silent for" in listed[1]


async def test_when_nobody_can_be_asked_the_change_is_published_and_the_doubt_is_told(
    whaticket: CommandLine, pool: asyncpg.Pool
) -> None:
    tenant = f"t-{uuid4().hex[:8]}"
    await pool.execute("ALTER TABLE processes RENAME TO elsewhere")
    try:
        code, said = await whaticket.run("tenant", "add", tenant)
    finally:
        await pool.execute("ALTER TABLE elsewhere RENAME TO processes")

    assert code == 3
    assert f"{tenant} is at version 1, published" in said
    assert "who uses it is not known" in said
