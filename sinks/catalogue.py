"""What the tools look up and write in Postgres: products, orders, service requests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from sinks.database import queries, reachable


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Something that a tenant sells.

    Attributes:
        sku: The tenant's id of it.
        name: What it is called.
        description: What customers should know of it.
        price_cents: Price in hundredths of the currency.
        currency: ISO 4217 code.
        stock: Pieces in stock.
    """

    sku: str
    name: str
    description: str = ""
    price_cents: int
    currency: str = "BRL"
    stock: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order that was placed with a tenant.

    Attributes:
        order_number: The tenant's number of it, as its buyer knows it.
        customer_id: Who placed it; None when the shop did not know the conversation.
        status: Where it stands, in the tenant's words.
        eta: Day on which it should arrive.
    """

    order_number: str
    customer_id: str | None = None
    status: str
    eta: dt.date | None = None


class Catalogue:
    """The tools' tables; each method sees one tenant's rows only.

    All methods raise ``Unavailable("postgres")`` while Postgres is down.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._sql = queries("catalogue")

    async def search(
        self, tenant_id: str, words: str, /, *, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Return the products that fit the words best; accents and word endings do not matter."""
        with reachable():
            rows = await self._pool.fetch(
                self._sql["search"], tenant_id, words, f"%{_literal(words)}%", limit
            )
        return [dict(row) for row in rows]

    async def order(
        self, tenant_id: str, customer_id: str, order_number: str, /
    ) -> Mapping[str, Any] | None:
        """Return an order of this customer, or one that is no customer's yet; else None.

        An order of another customer looks like one that does not exist.
        """
        with reachable():
            row = await self._pool.fetchrow(
                self._sql["order"], tenant_id, order_number, customer_id
            )
        return dict(row) if row else None

    async def request(
        self,
        tenant_id: str,
        conversation_id: str,
        customer_id: str,
        call_id: str,
        /,
        *,
        kind: str,
        summary: str,
    ) -> int:
        """Open a service request and return its number; the same call opens it once."""
        with reachable():
            number: int = await self._pool.fetchval(
                self._sql["request"],
                tenant_id,
                call_id,
                conversation_id,
                customer_id,
                kind,
                summary,
            )
        return number

    async def put_products(self, tenant_id: str, products: Sequence[Product], /) -> None:
        """Add or replace products."""
        columns = [
            [getattr(product, name) for product in products]
            for name in ("sku", "name", "description", "price_cents", "currency", "stock")
        ]
        with reachable():
            await self._pool.execute(self._sql["put_products"], tenant_id, *columns)

    async def put_orders(self, tenant_id: str, orders: Sequence[Order], /) -> None:
        """Add or replace orders."""
        columns = [
            [getattr(order, name) for order in orders]
            for name in ("order_number", "customer_id", "status", "eta")
        ]
        with reachable():
            await self._pool.execute(self._sql["put_orders"], tenant_id, *columns)


def _literal(words: str) -> str:
    """Return lower-case words, without accents, that LIKE takes as they are."""
    plain = words.lower().translate(_ACCENTS)
    return plain.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


_ACCENTS = str.maketrans("áàâãäéèêëíìîïóòôõöúùûüçñ", "aaaaaeeeeiiiiooooouuuucn")
"""The same letters as ``whaticket_plain`` in the migration."""
