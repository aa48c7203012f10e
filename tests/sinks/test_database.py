from __future__ import annotations

import asyncio
import itertools
from uuid import uuid4

import asyncpg
import pytest

from schemas.errors import Misconfigured, Unavailable
from sinks.claims import SQL, PostgresClaims
from sinks.database import open_pool, queries, reachable
from sinks.migrations import Migration, migrate, migrations
from tests.streams.loop.harness import until

pytestmark = pytest.mark.integration


async def test_a_claim_is_taken_once_by_fifty_who_want_it(pool: asyncpg.Pool) -> None:
    claims = PostgresClaims(pool)

    won = await asyncio.gather(*(claims.claim("bubble", "b1", 1) for _ in range(50)))

    assert sorted(won, reverse=True) == [True] + [False] * 49


async def test_another_kind_or_attempt_is_another_claim(pool: asyncpg.Pool) -> None:
    claims = PostgresClaims(pool)

    wanted = [("bubble", "x", 1), ("tool", "x", 1), ("bubble", "x", 2), ("bubble", "x", 1)]
    won = [await claims.claim(*each) for each in wanted]

    assert won == [True, True, True, False]


async def test_a_result_is_found_beside_its_claim(pool: asyncpg.Pool) -> None:
    claims = PostgresClaims(pool)
    await claims.claim("tool", "c1", 1)
    before = await claims.result("tool", "c1", 1)

    await claims.settle("tool", "c1", 1, '{"ok":true}')

    assert (before, await claims.result("tool", "c1", 1)) == (None, '{"ok":true}')


async def test_the_server_ends_a_transaction_in_which_nothing_is_asked(pool: asyncpg.Pool) -> None:
    assert await pool.fetchval("SHOW idle_in_transaction_session_timeout") == "10s"


async def test_postgres_that_is_down_is_unavailable() -> None:
    pool = await open_pool("postgresql://nobody@127.0.0.1:1/nothing")

    with pytest.raises(Unavailable):
        await PostgresClaims(pool).claim("bubble", "b", 1)
    await pool.close()


async def test_a_session_that_the_server_ends_is_unavailable(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as victim:
        number = await victim.fetchval("SELECT pg_backend_pid()")
        await pool.execute("SELECT pg_terminate_backend($1)", number)

        with pytest.raises(Unavailable), reachable():
            await victim.fetchval("SELECT 1")


async def test_a_closed_pool_is_unavailable_but_a_wrong_argument_is_a_bug(
    postgres_dsn: str,
) -> None:
    pool = await open_pool(postgres_dsn)
    with pytest.raises(asyncpg.DataError), reachable():
        await pool.fetchval("SELECT $1::int", "no number")
    await pool.close()

    with pytest.raises(Unavailable), reachable():
        await pool.fetchval("SELECT 1")


async def test_a_database_without_tables_says_what_to_run(stack_database: str) -> None:
    pool = await open_pool(stack_database)

    with pytest.raises(Misconfigured, match="whaticket migrate") as refused:
        await PostgresClaims(pool).claim("bubble", "b", 1)
    assert isinstance(refused.value, Unavailable), "who is at work waits until somebody did"
    await pool.close()


@pytest.fixture
async def stack_database(postgres_dsn: str) -> str:
    """URL of a database that nobody migrated."""
    server = await asyncpg.connect(postgres_dsn)
    name = f"never_migrated_{uuid4().hex}"
    await server.execute(f"CREATE DATABASE {name}")
    await server.close()
    return postgres_dsn.rsplit("/", 1)[0] + f"/{name}"


async def test_processes_that_migrate_together_apply_each_file_once(stack_database: str) -> None:
    pools = [await open_pool(stack_database) for _ in range(4)]

    applied = await asyncio.gather(*(migrate(pool) for pool in pools))

    assert sorted(itertools.chain(*applied)) == [each.name for each in migrations()]
    assert await migrate(pools[0]) == ()
    for pool in pools:
        await pool.close()


async def test_a_migration_that_changed_after_it_was_applied_is_refused(pool: asyncpg.Pool) -> None:
    first = Migration(number=9001, name="9001_first.sql", sql="CREATE TABLE first (a int);")
    changed = Migration(number=9001, name="9001_first.sql", sql="CREATE TABLE first (b int);")
    await migrate(pool, (first,))

    with pytest.raises(Misconfigured, match=r"9001_first\.sql changed"):
        await migrate(pool, (changed,))


async def test_a_migration_that_fails_leaves_nothing(pool: asyncpg.Pool) -> None:
    broken = Migration(number=9002, name="9002_b.sql", sql="CREATE TABLE half (a int); SELECT 1/0;")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(pool, (broken,))

    assert await pool.fetchval("SELECT to_regclass('half')") is None


def test_statements_are_found_by_their_names() -> None:
    assert set(queries("claims")) == {
        "barred",
        "claim",
        "claim_ai",
        "lock",
        "result",
        "settle",
        "taken",
        "unbar",
    }


async def test_a_write_of_an_epoch_before_a_takeover_is_barred(pool: asyncpg.Pool) -> None:
    claims = PostgresClaims(pool)
    await claims.bar("conv_barred", 4)
    await claims.bar("conv_barred", 4)

    assert await claims.claim_write("barred-1", 1, "conv_barred", 3) == "barred"
    assert await claims.claim_write("barred-2", 1, "conv_barred", 4) == "given"
    assert await claims.claim_write("barred-2", 1, "conv_barred", 4) == "taken"
    assert await claims.claim_write("barred-3", 1, "conv_free", 0) == "given"
    assert not await claims.taken("tool", "barred-1", 1)


async def test_a_write_that_began_before_a_takeover_stays_taken(pool: asyncpg.Pool) -> None:
    claims = PostgresClaims(pool)
    assert await claims.claim_write("begun", 1, "conv_begun", 3) == "given"

    await claims.bar("conv_begun", 4)

    assert await claims.claim_write("begun", 1, "conv_begun", 3) == "taken"


async def test_no_write_is_claimed_once_a_takeover_was_written_down(pool: asyncpg.Pool) -> None:
    """Whichever comes first: a claim that was given was given before the takeover returned."""
    claims = PostgresClaims(pool)
    told: list[str] = []

    async def take(conversation: str) -> None:
        await claims.bar(conversation, 1)
        told.append(conversation)

    async def write(conversation: str, number: int) -> None:
        before = conversation in told
        given = await claims.claim_write(f"{conversation}:{number}", 1, conversation, 0)
        assert not before or given == "barred"

    await asyncio.gather(
        *(
            step
            for number in range(20)
            for step in (
                write(f"race{number}", 0),
                take(f"race{number}"),
                write(f"race{number}", 1),
            )
        )
    )
    for number in range(20):
        assert await claims.claim_write(f"race{number}:2", 1, f"race{number}", 0) == "barred"


async def test_an_ai_bubble_of_an_epoch_before_a_takeover_is_barred(pool: asyncpg.Pool) -> None:
    claims = PostgresClaims(pool)
    assert await claims.claim_ai("sent-before", 1, "conv_told", 3) == "given"
    await claims.bar("conv_told", 4)

    assert await claims.claim_ai("sent-before", 1, "conv_told", 3) == "taken"
    assert await claims.claim_ai("sent-before", 2, "conv_told", 3) == "barred"
    assert await claims.claim_ai("too-late", 1, "conv_told", 3) == "barred"
    assert not await claims.taken("bubble", "too-late", 1)
    assert await claims.claim_ai("after-release", 1, "conv_told", 4) == "given"
    assert await claims.claim_ai("after-release", 1, "conv_told", 4) == "taken"
    assert await claims.claim_ai("elsewhere", 1, "conv_untold", 0) == "given"
    assert await claims.claim("bubble", "a-persons", 1)


async def test_no_ai_bubble_is_claimed_once_a_takeover_was_written_down(
    pool: asyncpg.Pool,
) -> None:
    claims = PostgresClaims(pool)
    told: list[str] = []

    async def take(conversation: str) -> None:
        await claims.bar(conversation, 1)
        told.append(conversation)

    async def speak(conversation: str, number: int) -> None:
        before = conversation in told
        given = await claims.claim_ai(f"{conversation}:{number}", 1, conversation, 0)
        assert not before or given == "barred"

    await asyncio.gather(
        *(
            step
            for number in range(20)
            for step in (
                speak(f"said{number}", 0),
                take(f"said{number}"),
                speak(f"said{number}", 1),
            )
        )
    )
    for number in range(20):
        assert await claims.claim_ai(f"said{number}:2", 1, f"said{number}", 0) == "barred"


async def test_two_gates_that_claim_one_ai_bubble_get_it_once(pool: asyncpg.Pool) -> None:
    claims = PostgresClaims(pool)

    got = await asyncio.gather(*(claims.claim_ai("both", 1, "conv_both", 0) for _ in range(8)))

    assert sorted(got) == ["given", *["taken"] * 7]


async def locked_out(pool: asyncpg.Pool) -> bool:
    """Tell whether somebody waits for a conversation."""
    here = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    waiting = f"SELECT true FROM pg_locks WHERE database = {here} AND NOT granted LIMIT 1"  # noqa: S608 - fixed text
    return bool(await pool.fetchval(waiting))


@pytest.mark.parametrize("late", ["takeover", "write"])
async def test_a_takeover_and_a_write_that_meet_wait_for_each_other(
    pool: asyncpg.Pool, late: str
) -> None:
    claims, conversation = PostgresClaims(pool), f"conv_late_{late}"

    async def second() -> str:
        if late == "write":
            return await claims.claim_write("late", 1, conversation, 0)
        await claims.bar(conversation, 1)
        return "barred"

    async with pool.acquire() as first, first.transaction():
        await first.execute(SQL["lock"], conversation)
        if late == "write":
            await first.execute(SQL["claim"], "takeover", conversation, 1)
        waits = asyncio.ensure_future(second())

        async def seen() -> bool:
            return waits.done() or await locked_out(pool)

        await until(seen, "the second one at the lock")
        assert not waits.done()

    assert await waits == "barred"
