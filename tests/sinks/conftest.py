"""A migrated database and a pool for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from sinks.database import open_pool
from sinks.migrations import migrate
from tests.sinks.watch import Watch


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(postgres_dsn, max_size=20)
    try:
        await migrate(pool)
        yield pool
    finally:
        await pool.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()
