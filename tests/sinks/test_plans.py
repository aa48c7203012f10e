"""A batch of a few rows reads those rows, and never a table as a whole."""

from __future__ import annotations

import re

import asyncpg
import msgspec
import pytest

from sinks.database import queries

pytestmark = pytest.mark.integration

CONVERSATIONS = 8_000
FILL = (
    """
    INSERT INTO conversations (tenant_id, conversation_id, customer_id, phone_number_id)
    SELECT 'plans', 'conv_' || n, 'cust_' || n, '1' FROM generate_series(1, $1::int) n
    ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO messages (
        tenant_id, conversation_id, id, wamid, from_me, author, kind, body, trace_id, at_ms
    )
    SELECT
        'plans', 'conv_' || n, 'wamid.' || n, 'wamid.' || n, false, 'customer', 'text', 'oi',
        'trace', n
    FROM generate_series(1, $1::int) n
    ON CONFLICT DO NOTHING
    """,
)
ROW = {
    "tenant_id": "plans",
    "conversation_id": "conv_7",
    "id": "wamid.7",
    "customer_id": "cust_7",
    "phone_number_id": "1",
}


@pytest.fixture
async def filled(pool: asyncpg.Pool) -> asyncpg.Pool:
    for statement in FILL:
        await pool.execute(statement, CONVERSATIONS)
    await pool.execute("ANALYZE conversations, messages")
    return pool


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("transcripts", "conversations_seen"),
        ("transcripts", "conversations_taken"),
        ("transcripts", "newest"),
        ("conversations", "tickets"),
        ("conversations", "bubbles"),
    ],
)
async def test_no_statement_of_a_batch_reads_a_large_table_whole(
    filled: asyncpg.Pool, file: str, name: str
) -> None:
    batch = msgspec.json.encode([ROW]).decode()
    async with filled.acquire() as connection, connection.transaction():
        # The plan of every execution from the sixth on, when none is made for its values alone.
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE asked AS {queries(file)[name]}")
        plan = await connection.fetch(f"EXPLAIN EXECUTE asked('{batch}')")
        await connection.execute("DEALLOCATE asked")

    whole = re.compile(r"Seq Scan on (conversations|messages)\b")
    assert [line for (line,) in plan if whole.search(line)] == []


async def test_a_later_page_of_conversations_does_not_read_the_pages_before(
    filled: asyncpg.Pool,
) -> None:
    async with filled.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        # Of a company that has nearly all rows a sort of the whole table may be cheaper.
        for other in ("seqscan", "sort", "bitmapscan", "hashjoin", "mergejoin"):
            await connection.execute(f"SET LOCAL enable_{other} = off")
        await connection.execute(f"PREPARE page AS {queries('conversations')['newest']}")
        plan = await connection.fetch("EXPLAIN EXECUTE page('plans', NULL, 5, 'conv_7', 2)")
        await connection.execute("DEALLOCATE page")

    begins = re.compile(r"Index Cond: .*GREATEST\(.*<= COALESCE\(", re.IGNORECASE)
    assert [line for (line,) in plan if begins.search(line)] != []


async def test_a_look_at_what_was_not_sent_reads_only_that(filled: asyncpg.Pool) -> None:
    async with filled.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE recall AS {queries('knowledge')['recall']}")
        plan = await connection.fetch("EXPLAIN EXECUTE recall('plans', 'cust_7', 3)")
        await connection.execute("DEALLOCATE recall")

    assert [line for (line,) in plan if "messages_unsent" in line] != []
