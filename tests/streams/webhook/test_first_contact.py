from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from sinks.database import open_pool
from sinks.identity import Identities
from sinks.migrations import migrate
from tests.streams.webhook.world import World, change, envelope, text

pytestmark = pytest.mark.integration

KEY = b"k" * 32
USER = "BR.13491208655302741918"


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(postgres_dsn)
    await migrate(pool)
    yield pool
    await pool.close()


def process(pool: asyncpg.Pool) -> World:
    return World(identities=Identities(pool, KEY), timeout_s=30)


async def test_two_webhooks_that_meet_a_customer_at_once_open_one_conversation(
    pool: asyncpg.Pool,
) -> None:
    webhooks = [process(pool), process(pool)]
    contacts = [{"wa_id": "5511987654321", "user_id": USER}]
    known_by_both = change(contacts=contacts, messages=[text("wamid.1")])
    without_the_nine = change(contacts=contacts, messages=[text("wamid.2", "551187654321")])

    answers = await asyncio.gather(
        *[
            webhook.post(envelope(body))
            for body in (known_by_both, without_the_nine)
            for webhook in webhooks * 10
        ]
    )

    events = [event for webhook in webhooks for event in webhook.events()]
    assert {answer.status_code for answer in answers} == {200}
    assert len(events) == 40
    assert len({event.conversation_id for event in events}) == 1
    assert len({event.event_id for event in events}) == 2


async def test_a_delivery_a_week_later_meets_the_same_conversation(pool: asyncpg.Pool) -> None:
    first = process(pool)
    body = envelope(change(messages=[text("wamid.1", "5521999990000")]))
    await first.post(body)
    contacts = [{"wa_id": "5521999990000", "user_id": "BR.2"}]
    await first.post(envelope(change(contacts=contacts, messages=[text("wamid.2", "BR.2")])))

    later = process(pool)
    await later.post(body)

    assert later.events()[0].conversation_id == first.events()[0].conversation_id


async def test_a_thousand_new_customers_fit_into_one_delivery(pool: asyncpg.Pool) -> None:
    webhook = process(pool)
    messages = [text(f"wamid.{n}", f"55119{n:08}") for n in range(60_000_000, 60_001_000)]

    answer = await webhook.post(envelope(change(messages=messages)))

    assert answer.status_code == 200
    assert len({event.conversation_id for event in webhook.events()}) == 1000
