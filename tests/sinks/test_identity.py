from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from schemas.errors import Unavailable
from schemas.ids import keyed
from sinks.database import open_pool
from sinks.identity import Ask, Identities

pytestmark = pytest.mark.integration

KEY = b"k" * 32
NUMBER = "100"


def ask(tenant: str, *identifiers: str, number: str = NUMBER) -> Ask:
    return Ask(tenant, number, identifiers)


async def conversation(identities: Identities, one: Ask) -> str:
    (place,) = await identities.resolve([one])
    return place.conversation_id


async def test_a_customer_has_one_conversation_for_ever(pool: asyncpg.Pool) -> None:
    first = await conversation(Identities(pool, KEY), ask("t1", "wa:1"))

    again = await conversation(Identities(pool, KEY), ask("t1", "wa:1"))

    assert first == again == keyed("conv", KEY, "t1", NUMBER, "wa:1")


async def test_all_names_of_a_message_lead_to_one_conversation(pool: asyncpg.Pool) -> None:
    identities = Identities(pool, KEY)
    both = await conversation(identities, ask("t2", "wa:1", "user:A"))

    alone = [await conversation(identities, ask("t2", name)) for name in ("wa:1", "user:A")]

    assert alone == [both, both]


async def test_a_new_name_goes_to_the_earliest_and_nothing_is_merged(pool: asyncpg.Pool) -> None:
    identities = Identities(pool, KEY)
    early = await conversation(identities, ask("t3", "user:A"))
    late = await conversation(identities, ask("t3", "wa:1"))

    joined = await conversation(identities, ask("t3", "wa:1", "user:A", "user:B"))

    after = [await conversation(identities, ask("t3", name)) for name in ("wa:1", "user:B")]
    assert early != late
    assert joined == early
    assert after == [late, early]


async def test_names_met_in_one_batch_know_each_other(pool: asyncpg.Pool) -> None:
    identities = Identities(pool, KEY)

    places = await identities.resolve(
        [ask("t4", "wa:1"), ask("t4", "wa:1", "user:A"), ask("t4", "user:A"), ask("t4", "wa:2")]
    )

    found = [place.conversation_id for place in places]
    assert found[0] == found[1] == found[2]
    assert found[3] != found[0]


async def test_a_customer_of_two_numbers_is_one_customer_with_two_conversations(
    pool: asyncpg.Pool,
) -> None:
    identities = Identities(pool, KEY)
    (first,) = await identities.resolve([ask("t5", "wa:1", "user:A")])

    (second,) = await identities.resolve([ask("t5", "user:A", number="200")])

    assert second.customer_id == first.customer_id
    assert second.conversation_id == keyed("conv", KEY, "t5", "200", "wa:1")


async def test_tenants_share_no_conversation(pool: asyncpg.Pool) -> None:
    identities = Identities(pool, KEY)

    one, other = await identities.resolve([ask("t6", "wa:1"), ask("t7", "wa:1")])

    assert one.conversation_id != other.conversation_id
    assert one.customer_id != other.customer_id


async def test_two_processes_that_meet_a_person_at_once_agree(pool: asyncpg.Pool) -> None:
    """One knows both names and is slow between reading and writing; the other knows one."""
    reading, writing = asyncio.Event(), asyncio.Event()

    class Slow(Identities):
        async def _learn(self, *given: Any) -> None:
            reading.set()
            await writing.wait()
            await super()._learn(*given)

    both, one = ask("t8", "wa:1", "user:A"), ask("t8", "user:A")
    async with asyncio.timeout(30):
        slow = asyncio.create_task(conversation(Slow(pool, KEY), both))
        await reading.wait()
        quick = asyncio.create_task(conversation(Identities(pool, KEY), one))
        blocked = False
        while not (blocked or quick.done()):
            blocked = bool(await pool.fetchval(WAITING))
        writing.set()
        found = await asyncio.gather(slow, quick)

    late = Identities(pool, KEY)
    by_name = [await conversation(late, ask("t8", name)) for name in both.identifiers]
    assert {*found, *by_name} == {keyed("conv", KEY, "t8", NUMBER, "wa:1")}


WAITING = "select count(*) from pg_locks where locktype = 'advisory' and not granted"


async def test_many_processes_with_names_in_any_order_do_not_block_each_other(
    pool: asyncpg.Pool,
) -> None:
    both = [ask("t9", f"wa:{n}", f"user:{n}") for n in range(50)]
    turned = [ask("t9", f"user:{n}", f"wa:{n}") for n in reversed(range(50))]

    async with asyncio.timeout(60):
        batches = [both, turned] * 6
        await asyncio.gather(*[Identities(pool, KEY).resolve(batch) for batch in batches])

    late = Identities(pool, KEY)
    by_phone = await late.resolve([ask("t9", f"wa:{n}") for n in range(50)])
    by_user = await late.resolve([ask("t9", f"user:{n}") for n in range(50)])
    assert by_phone == by_user


async def test_a_batch_of_a_thousand_takes_few_queries_and_then_none(pool: asyncpg.Pool) -> None:
    asks = [ask("t10", f"wa:{n}", f"user:{n}") for n in range(1000)]
    sent: list[str] = []
    async with pool.acquire() as connection:
        single = _OneConnection(connection)
        identities = Identities(single, KEY)  # type: ignore[arg-type]  # a pool by shape
        await identities.resolve([ask("t10", "wa:0")])  # asyncpg asks for types the first time
        connection.add_query_logger(lambda query: sent.append(query.query))

        first = await identities.resolve(asks)
        again = await identities.resolve(asks)

        assert await connection.fetchval("select 1") == 1  # the logger lags behind
    assert single.taken == 2
    assert len([query for query in sent if "identity" in query or "xact_lock" in query]) <= 4
    assert again == first
    assert len({place.conversation_id for place in first}) == 1000


class _OneConnection:
    """A pool whose every connection is this one."""

    def __init__(self, connection: object) -> None:
        self.connection = connection
        self.taken = 0

    def acquire(self) -> _OneConnection:
        self.taken += 1
        return self

    async def __aenter__(self) -> object:
        return self.connection

    async def __aexit__(self, *_: object) -> None:
        """Keep it."""


async def test_known_customers_need_no_database_and_unknown_ones_wait(
    pool: asyncpg.Pool, postgres_dsn: str
) -> None:
    known = ask("t11", "wa:1")
    own = await open_pool(postgres_dsn)
    identities = Identities(own, KEY)
    before = await identities.resolve([known])
    await own.close()

    after = await identities.resolve([known])
    with pytest.raises(Unavailable) as raised:
        await identities.resolve([known, ask("t11", "wa:2")])

    assert after == before
    assert raised.value.service == "postgres"
    assert await pool.fetchval("select count(*) from identity where tenant_id = 't11'") == 1


async def test_memory_is_bounded(pool: asyncpg.Pool) -> None:
    identities = Identities(pool, KEY, capacity=10)
    asks = [ask("t12", f"wa:{n}") for n in range(50)]

    first = await identities.resolve(asks)

    assert len(identities._seen) == 10
    assert await identities.resolve(asks) == first


async def test_a_row_is_never_changed(pool: asyncpg.Pool) -> None:
    await Identities(pool, KEY).resolve([ask("t13", "wa:1")])

    with pytest.raises(asyncpg.RaiseError, match="never changed"):
        await pool.execute("update identity set conversation_id = 'x' where tenant_id = 't13'")


async def test_the_canonical_number_is_linked_and_never_moved(pool: asyncpg.Pool) -> None:
    identities = Identities(pool, KEY)
    (place,) = await identities.resolve([ask("t14", "user:A")])
    (other,) = await identities.resolve([ask("t14", "wa:2")])

    for name in ("wa:1", "wa:2"):
        await identities.link("t14", NUMBER, place.conversation_id, name)
    await identities.link("t14", NUMBER, "conv_unknown", "wa:3")

    late = Identities(pool, KEY)
    found = await late.resolve([ask("t14", "wa:1"), ask("t14", "wa:2")])
    assert found == [place, other]
    rows = await pool.fetchval("select count(*) from identity where tenant_id = 't14'")
    assert rows == 3
