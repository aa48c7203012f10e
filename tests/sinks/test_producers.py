from __future__ import annotations

import asyncpg
import pytest
from cryptography.fernet import Fernet

from schemas.errors import Misconfigured, Rejected
from sinks.database import open_pool
from sinks.producers import Producers
from sinks.rawparts import RawParts, name_of

pytestmark = pytest.mark.integration

KEY = Fernet.generate_key().decode()


async def test_a_rotated_secret_is_valid_beside_the_one_before(pool: asyncpg.Pool) -> None:
    producers = Producers(pool, KEY)
    first = await producers.add("crm", "acme")
    second = await producers.rotate("crm")
    third = await producers.rotate("crm")

    found = await Producers(pool, KEY).get("crm")

    assert found is not None
    assert len({first, second, third}) == 3
    assert (found.tenant_id, found.secrets) == ("acme", (third, second))
    assert third not in repr(found)
    assert [(row.producer, row.tenant_id) for row in await producers.listed()] == [("crm", "acme")]


async def test_secrets_are_encrypted_at_rest(pool: asyncpg.Pool) -> None:
    secret = await Producers(pool, KEY).add("erp", "acme")

    stored = await pool.fetchval("select secrets from producer where producer = 'erp'")

    assert secret.removeprefix("whsec_").encode() not in stored
    with pytest.raises(Misconfigured, match="another SECRETS_KEY"):
        await Producers(pool, Fernet.generate_key().decode()).get("erp")


async def test_a_producer_is_added_once_and_only_a_known_one_is_rotated(
    pool: asyncpg.Pool,
) -> None:
    producers = Producers(pool, KEY)
    await producers.add("shop", "acme")

    with pytest.raises(Rejected) as added:
        await producers.add("shop", "other")
    with pytest.raises(Rejected) as rotated:
        await producers.rotate("nobody")

    assert (added.value.reason, rotated.value.reason) == ("producer_exists", "unknown_producer")
    assert await producers.get("nobody") is None


async def test_a_key_that_is_none_is_refused_at_once(pool: asyncpg.Pool) -> None:
    with pytest.raises(Misconfigured, match="SECRETS_KEY"):
        Producers(pool, "short")


async def test_a_known_producer_outlives_an_outage(
    postgres_dsn: str, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Producers(pool, KEY).add("till", "acme")
    monkeypatch.setattr("sinks.producers.FRESH_S", 0.0)
    own = await open_pool(postgres_dsn)
    producers = Producers(own, KEY)
    before = await producers.get("till")
    await own.close()

    assert await producers.get("till") == before


async def test_a_large_part_is_kept_once_under_its_hash(pool: asyncpg.Pool) -> None:
    parts = RawParts(pool)
    large = b"\x00\xff" * 500_000

    await parts.keep([large, large, b"other"])
    await parts.keep([large])

    assert await parts.fetch(name_of(large)) == large
    assert await parts.fetch(name_of(b"none")) is None
    assert await pool.fetchval("select count(*) from raw_part") == 2
