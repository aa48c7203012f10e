"""Known producers while Postgres is away."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import asyncpg
import pytest
from cryptography.fernet import Fernet

from schemas.errors import Unavailable
from sinks.producers import FRESH_S, Producer, Producers
from sinks.vault import Vault
from tests.sinks.watch import Watch

KEY = Fernet.generate_key().decode()


class Pool:
    """Has one producer, the CRM; may be down."""

    def __init__(self) -> None:
        self.asked = 0
        self.down = False
        self.secret = "whsec_first"

    async def fetchrow(self, _: str, producer: str) -> dict[str, Any] | None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.down:
            raise asyncpg.PostgresConnectionError
        if producer != "crm":
            return None
        return {"tenant_id": "acme", "secrets": Vault(KEY).seal(json.dumps([self.secret]))}


@pytest.fixture
def pool() -> Pool:
    return Pool()


@pytest.fixture
def producers(pool: Pool, watch: Watch) -> Producers:
    return Producers(cast(asyncpg.Pool, pool), KEY, monotonic=watch)


async def test_a_postgres_that_is_away_is_not_asked_for_a_known_producer_at_each_push(
    producers: Producers, pool: Pool, watch: Watch
) -> None:
    known = await producers.get("crm")
    watch.now, pool.down = FRESH_S, True

    found = [await producers.get("crm") for _ in range(5)]

    assert (found, pool.asked) == ([known] * 5, 2)
    with pytest.raises(Unavailable):
        await producers.get("erp")


async def test_a_rotated_secret_is_known_after_the_time_that_is_told(
    producers: Producers, pool: Pool, watch: Watch
) -> None:
    await producers.get("crm")
    pool.secret, watch.now = "whsec_second", FRESH_S

    assert await producers.get("crm") == Producer("acme", ("whsec_second",))


async def test_a_producer_is_known_as_soon_as_it_is_added(
    producers: Producers, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await producers.get("shop") is None

    async def added(_: str, __: str) -> dict[str, Any]:
        return {"tenant_id": "acme", "secrets": Vault(KEY).seal(json.dumps(["whsec_shop"]))}

    monkeypatch.setattr(pool, "fetchrow", added)

    assert await producers.get("shop") == Producer("acme", ("whsec_shop",))
