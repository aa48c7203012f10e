"""Rows that nothing can ask for any more are deleted, and no others."""

from __future__ import annotations

import asyncpg
import pytest

from schemas.errors import Unavailable
from sinks.claims import PostgresClaims
from sinks.database import open_pool
from sinks.pruning import BATCHES, KEPT_DAYS, SQL, Pruning
from sinks.rawparts import RawParts, name_of

pytestmark = pytest.mark.integration


async def claimed(pool: asyncpg.Pool, name: str, days: int, kind: str = "bubble") -> None:
    await pool.execute(
        "INSERT INTO claims (kind, effect_id, attempt, claimed_at)"
        " VALUES ($1, $2, 1, now() - make_interval(days => $3))",
        *(kind, name, days),
    )


async def stored_before(pool: asyncpg.Pool, days: int) -> None:
    await pool.execute("UPDATE raw_part SET stored_at = now() - make_interval(days => $1)", days)


async def test_a_claim_goes_when_its_event_cannot_come_again(pool: asyncpg.Pool) -> None:
    claims, pruning = PostgresClaims(pool), Pruning(pool)
    for kind in ("bubble", "tool", "takeover"):
        await claimed(pool, f"old {kind}", KEPT_DAYS + 1, kind)
        await claimed(pool, f"young {kind}", KEPT_DAYS - 1, kind)

    gone = await pruning.prune("claims")

    left = {row["effect_id"] for row in await pool.fetch("SELECT effect_id FROM claims")}
    assert (gone, left) == (3, {"young bubble", "young tool", "young takeover"})
    assert await claims.taken("bubble", "young bubble", 1)
    assert await pruning.prune("claims") == 0


async def test_the_oldest_go_first_and_no_more_at_once_than_a_batch(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "INSERT INTO claims (kind, effect_id, attempt, claimed_at)"
        " SELECT 'bubble', 'many', n, now() - make_interval(days => $1 + n)"
        " FROM generate_series(1, $2::int) AS n",
        *(KEPT_DAYS, BATCHES["claims"] + 1),
    )
    pruning = Pruning(pool)

    first = await pruning.prune("claims")

    left = await pool.fetch("SELECT attempt FROM claims WHERE effect_id = 'many'")
    assert (first, [row["attempt"] for row in left]) == (BATCHES["claims"], [1])
    assert await pruning.prune("claims") == 1


async def test_a_row_that_somebody_else_deletes_is_not_waited_for(pool: asyncpg.Pool) -> None:
    await claimed(pool, "held", KEPT_DAYS + 1)
    async with pool.acquire() as other, other.transaction():
        await other.fetch("SELECT 1 FROM claims WHERE effect_id = 'held' FOR UPDATE")

        assert await Pruning(pool).prune("claims") == 0
    assert await Pruning(pool).prune("claims") == 1


async def test_a_raw_part_that_came_again_lives_as_long_as_its_newest_record(
    pool: asyncpg.Pool,
) -> None:
    parts, pruning = RawParts(pool), Pruning(pool)
    await parts.keep([b"once", b"again"])
    await stored_before(pool, KEPT_DAYS + 1)
    await parts.keep([b"again"])

    gone = await pruning.prune("raw_parts")

    assert gone == 1
    assert await parts.fetch(name_of(b"once")) is None
    assert await parts.fetch(name_of(b"again")) == b"again"


async def test_old_rows_are_found_without_reading_the_table_whole(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "INSERT INTO claims (kind, effect_id, attempt)"
        " SELECT 'bubble', 'plan', n FROM generate_series(1, 20000) AS n"
    )
    await pool.execute("ANALYZE claims")

    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE pruned AS {SQL['claims']}")
        plan = await connection.fetch("EXPLAIN EXECUTE pruned(120, 1000)")
        await connection.execute("DEALLOCATE pruned")

    said = "\n".join(line for (line,) in plan)
    assert "claims_oldest" in said
    assert "Seq Scan on claims" not in said


async def test_nothing_goes_while_postgres_is_down() -> None:
    pool = await open_pool("postgresql://nobody@127.0.0.1:1/nothing")

    with pytest.raises(Unavailable):
        await Pruning(pool).prune("claims")
    await pool.close()
