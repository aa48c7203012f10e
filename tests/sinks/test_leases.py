from __future__ import annotations

import asyncio
from collections.abc import Mapping
from uuid import uuid4

import asyncpg
import pytest

from schemas.errors import Unavailable
from sinks import leases
from sinks.database import open_pool
from sinks.leases import Decide, PostgresLeases

pytestmark = pytest.mark.integration

TOTAL = 76


def greedy(_: str, others: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Take all that nobody has."""
    return TOTAL - sum(share for share, _ in others.values()), 100


def taking(share: int) -> Decide:
    return lambda _, __: (share, share)


async def everyone(pool: asyncpg.Pool, number: str) -> dict[str, int]:
    rows = await pool.fetch(
        "SELECT worker, share FROM number_leases WHERE phone_number_id = $1", number
    )
    return {row["worker"]: row["share"] for row in rows}


async def test_what_one_takes_another_sees(pool: asyncpg.Pool) -> None:
    first, second = PostgresLeases(pool, "a"), PostgresLeases(pool, "b")

    assert await first.renew(["n-see"], taking(30)) == {"n-see": 30}
    assert await second.renew(["n-see"], greedy) == {"n-see": 46}
    assert await first.renew(["n-see"], greedy) == {"n-see": 30}
    assert await everyone(pool, "n-see") == {"a": 30, "b": 46}


async def test_workers_that_take_at_the_same_time_never_take_the_same(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "ANSWER_S", 60.0)  # on a busy machine the last of them waits long
    monkeypatch.setattr(leases, "VALID_S", 60.0)
    workers = [PostgresLeases(pool, f"w{place}") for place in range(8)]
    numbers = [f"n-race-{place}" for place in range(3)]

    for _ in range(5):
        await asyncio.gather(
            *(
                each.renew(numbers[:: (1, -1)[place % 2]], greedy)
                for place, each in enumerate(workers)
            )
        )

        for number in numbers:
            assert sum((await everyone(pool, number)).values()) == TOTAL


async def test_a_lease_counts_a_while_after_it_expired_and_then_no_more(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "VALID_S", 0.0)
    dead = PostgresLeases(pool, "dead")
    await dead.renew(["n-dead"], taking(70))
    monkeypatch.undo()
    other = PostgresLeases(pool, "b")

    assert await other.renew(["n-dead"], greedy) == {"n-dead": 6}
    monkeypatch.setattr(leases, "GRACE_S", 0.0)
    assert await other.renew(["n-dead"], greedy) == {"n-dead": 76}


async def test_who_leaves_is_waited_for_as_whatsapp_still_counts(pool: asyncpg.Pool) -> None:
    gone, other = PostgresLeases(pool, "gone"), PostgresLeases(pool, "b")
    await gone.renew(["n-gone"], taking(70))

    await gone.leave()

    assert await other.renew(["n-gone"], greedy) == {"n-gone": 6}
    left = await pool.fetchval(
        "SELECT expires_at <= clock_timestamp() FROM number_leases WHERE worker = 'gone'"
    )
    assert left


async def test_a_decision_that_fails_takes_nothing(pool: asyncpg.Pool) -> None:
    def broken(_: str, __: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await PostgresLeases(pool, "a").renew(["n-broken"], broken)

    assert await everyone(pool, "n-broken") == {}
    assert await PostgresLeases(pool, "b").renew(["n-broken"], greedy) == {"n-broken": 76}


async def test_a_database_that_is_down_is_unavailable() -> None:
    pool = await open_pool("postgresql://nobody@127.0.0.1:1/nothing")

    with pytest.raises(Unavailable):
        await PostgresLeases(pool, f"w{uuid4()}").renew(["n"], greedy)


async def test_a_number_that_somebody_holds_too_long_is_given_up(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "ANSWER_S", 0.2)
    async with pool.acquire() as other, other.transaction():
        await other.execute(leases.SQL["lock"], ["n-held"])

        with pytest.raises(Unavailable):
            await PostgresLeases(pool, "a").renew(["n-held"], greedy)
