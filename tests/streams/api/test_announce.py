from __future__ import annotations

import asyncio

import asyncpg
import pytest
from cryptography.fernet import Fernet

from schemas.errors import Unavailable
from schemas.events import Event
from sinks.tenants import Tenants
from sinks.vault import Vault
from streams.tenancy.announce import announce

pytestmark = pytest.mark.integration


class Broker:
    """Refuses so many times, then takes everything."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.taken: list[Event] = []

    async def publish(self, event: Event) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("kafka")
        self.taken.append(event)


@pytest.fixture
async def tenants(pool: asyncpg.Pool) -> Tenants:
    tenants = Tenants(pool, Vault(Fernet.generate_key().decode()))
    for each in await tenants.unpublished():
        await tenants.published(each)
    return tenants


async def test_a_change_is_published_until_the_log_has_it(tenants: Tenants) -> None:
    changed = await tenants.change("acme", {"prompt": "Seja breve."})
    broker = Broker(refusals=3)

    announced = await announce(tenants, broker.publish, retry_s=0)

    assert announced == (changed,)
    assert broker.taken == [changed]
    assert await tenants.unpublished() == ()


async def test_what_was_stored_while_kafka_was_down_is_published_later(tenants: Tenants) -> None:
    changed = await tenants.change("acme", {"prompt": "Fale mais."})
    with pytest.raises(Unavailable):
        await announce(tenants, Broker(refusals=10**9).publish, deadline_s=0.05, retry_s=0)
    assert await tenants.unpublished() == (changed,)

    assert await announce(tenants, Broker(refusals=0).publish) == (changed,)


async def test_of_two_who_publish_at_once_the_newer_version_is_the_last_on_the_log(
    tenants: Tenants,
) -> None:
    """The AI that the second one switched off would be on again."""
    started, may_go, taken = asyncio.Event(), asyncio.Event(), list[Event]()

    async def slowly(event: Event) -> None:
        started.set()
        await may_go.wait()
        taken.append(event)

    async def at_once(event: Event) -> None:
        taken.append(event)

    older = await tenants.change("acme", {"ai_enabled": True})
    one = asyncio.create_task(announce(tenants, slowly))
    await started.wait()
    newer = await tenants.change("acme", {"ai_enabled": False})
    two = asyncio.create_task(announce(tenants, at_once))
    await asyncio.wait({two}, timeout=1)
    may_go.set()
    await asyncio.gather(one, two)

    assert taken == [older, newer]
