"""Puts the demo's shop into a stack: tenant, Meta app, numbers, knowledge, products, orders."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import asyncpg

from sinks.catalogue import Catalogue
from sinks.channels import Channels
from sinks.database import open_pool
from sinks.knowledge import PostgresKnowledge
from sinks.tenants import Tenants
from sinks.vault import Vault
from streams.embedding import open_embedder
from streams.local.demo import shop
from streams.local.demo.payloads import phone_number_ids
from streams.settings import Settings, require_secrets
from streams.tenancy.announce import announce_from

TOKEN: Final = "simulator"  # noqa: S105 - the simulator takes any token
NO_LIMIT: Final = 0
"""New numbers carry what they can: a load measures the pipeline, not WhatsApp's limit."""
VERIFY_TOKEN: Final = "simulator"  # noqa: S105 - nobody verifies the simulator's webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """What a seeding did.

    Attributes:
        version: Version of the tenant's settings.
        channels: Business numbers of the tenant.
        passages: Passages that were new.
    """

    version: int
    channels: int
    passages: int


async def seed(current: Settings, today: dt.date) -> Seeded:
    """Make the demo's tenant whole and publish its settings; what is there already stays.

    Args:
        current: Where Postgres, Kafka and the registry are.
        today: Day from which the orders are due.

    Raises:
        Misconfigured: A secret, a table, a topic or a schema is missing.
        Unavailable: Postgres, Kafka or the registry does not answer.
    """
    seeded = await fill(current, today)
    await publish(current)
    return seeded


async def publish(current: Settings) -> None:
    """Put every version of a company's settings that is not surely on the log there."""
    pool = await open_pool(current.postgres_dsn.get_secret_value(), name="whaticket.seed")
    try:
        tenants = Tenants(pool, Vault(current.secrets_key.get_secret_value()))
        await announce_from(tenants, current, client_id="whaticket.seed")
    finally:
        await pool.close()


async def fill(current: Settings, today: dt.date) -> Seeded:
    """Make the demo's tenant whole in the database; see ``seed``."""
    require_secrets(current, "secrets_key", "simulator_app_secret")
    secret = current.simulator_app_secret.get_secret_value()
    pool = await open_pool(current.postgres_dsn.get_secret_value(), name="whaticket.seed")
    try:
        key = current.secrets_key.get_secret_value()
        tenants = Tenants(pool, Vault(key))
        await make_tenant(tenants)
        await _app(tenants, Channels(pool, key), secret)
        await _channels(tenants, {shop.NUMBER, *phone_number_ids()})
        passages = await _knowledge(pool, current)
        catalogue = Catalogue(pool)
        await catalogue.put_products(shop.TENANT, shop.products())
        await catalogue.put_orders(shop.TENANT, shop.orders(today))
        settings = await tenants.get(shop.TENANT)
    finally:
        await pool.close()
    return Seeded(
        version=settings.version if settings else 0,
        channels=len(settings.channels) if settings else 0,
        passages=passages,
    )


async def make_tenant(tenants: Tenants) -> None:
    """Add the demo's tenant; once it is there, its settings are whoever's who set them."""
    if await tenants.get(shop.TENANT) is None:
        await tenants.add(shop.TENANT, shop.settings())


async def _app(tenants: Tenants, channels: Channels, secret: str) -> None:
    if shop.APP not in await tenants.apps():
        await tenants.add_app(shop.APP, verify_token=VERIFY_TOKEN, secret=secret)
    elif (await channels.app_secrets(shop.APP))[0] != secret:
        await tenants.rotate_app(shop.APP, secret=secret)


async def _channels(tenants: Tenants, numbers: Iterable[str]) -> None:
    known = await tenants.get(shop.TENANT)
    there = {channel.phone_number_id for channel in known.channels} if known else set()
    for number in sorted(set(numbers) - there):
        await tenants.add_channel(
            shop.TENANT, number, app_id=shop.APP, token=TOKEN, messages_per_second=NO_LIMIT
        )


async def _knowledge(pool: asyncpg.Pool, current: Settings) -> int:
    """Add the documents; the embedding model is loaded only when one is new."""
    async with open_embedder(current) as embedder:
        knowledge = PostgresKnowledge(pool, embedder)
        added = [
            await knowledge.add_passages(shop.TENANT, source, text)
            for source, text in shop.knowledge()
        ]
    return sum(added)
