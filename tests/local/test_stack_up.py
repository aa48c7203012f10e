from __future__ import annotations

import asyncpg
import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis

from streams.local.stack import Stack

pytestmark = pytest.mark.integration


async def test_kafka_creates_a_topic_and_never_one_by_itself(stack: Stack) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("stack.created", 3, 1)])
        await admin.describe_topics(["stack.never.created"])
        topics = await admin.list_topics()
    finally:
        await admin.close()
    assert {name for name in topics if name.startswith("stack.")} == {"stack.created"}


async def test_the_registry_demands_compatibility_both_ways(stack: Stack) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{stack.schema_registry_url}/config")
    assert answer.json()["compatibilityLevel"] == "FULL_TRANSITIVE"


async def test_a_fresh_database_searches_vectors(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    try:
        distance = await connection.fetchval("SELECT '[0,0]'::vector <-> '[3,4]'::vector")
        durable = await connection.fetchval("SHOW fsync")
        tables = await connection.fetchval(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        )
    finally:
        await connection.close()
    assert (distance, durable, tables) == (5.0, "on", 0)


async def test_redis_answers(stack: Stack) -> None:
    async with Redis.from_url(stack.redis_url) as redis:
        assert await redis.ping()
