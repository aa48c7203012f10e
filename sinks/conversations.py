"""Conversations as people read them: where one stands, its messages, its ticket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from sinks.changes import Key
from sinks.database import queries, reachable

SQL: Final = queries("conversations")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whose conversation it is.

    Attributes:
        tenant_id: The company.
        conversation_id: The conversation.
        customer_id: The customer.
        phone_number_id: The business number.
        wa_id: WhatsApp id of the customer; empty when it is not known.
        user_id: Business-scoped user id of the customer; empty when it is not known.
    """

    tenant_id: str
    conversation_id: str
    customer_id: str
    phone_number_id: str
    wa_id: str = ""
    user_id: str = ""


class Conversations:
    """Reads transcripts; every method raises ``Unavailable`` when Postgres is down."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    async def place(self, conversation_id: str) -> Place | None:
        """Return whose conversation it is, or None when nobody ever wrote in it."""
        with reachable():
            row = await self.pool.fetchrow(SQL["place"], conversation_id)
        return None if row is None else Place(**row)

    async def newest(
        self,
        tenant_id: str,
        *,
        status: str | None,
        before_ms: int | None,
        before_id: str | None = None,
        limit: int,
    ) -> list[Row]:
        """Return a company's conversations, the newest first.

        Args:
            tenant_id: The company.
            status: Only tickets of this status.
            before_ms: Only those that changed before; Unix milliseconds.
            before_id: Also those that changed in that very millisecond and come after this
                conversation.
            limit: How many at most.
        """
        given = tenant_id, status, before_ms, before_id, limit
        with reachable():
            return [dict(row) for row in await self.pool.fetch(SQL["newest"], *given)]

    async def whole(self, place: Place, *, limit: int) -> Row:
        """Return where a conversation stands, its newest messages, turns and outcomes."""
        key = place.tenant_id, place.conversation_id
        with reachable():
            async with self.pool.acquire() as connection:
                found: dict[str, Any] = {}
                stands = await connection.fetchrow(SQL["stands"], *key)
                found["conversation"] = None if stands is None else dict(stands)
                for part in ("messages", "turns", "outcomes"):
                    rows = await connection.fetch(SQL[part], *key, limit)
                    found[part] = [dict(row) for row in reversed(rows)]
        return found

    async def tickets(self, keys: Iterable[Key]) -> dict[Key, Row]:
        """Return the tickets of some conversations, with contact, company and number.

        One whose company is not known is left out.
        """
        wanted = [{"tenant_id": t, "conversation_id": c} for t, c in set(keys)]
        with reachable():
            rows = await self.pool.fetch(SQL["tickets"], wanted)
        return {(row["tenant_id"], row["conversation_id"]): dict(row) for row in rows}

    async def bubbles(self, ids: Iterable[tuple[str, str, str]]) -> list[Row]:
        """Return messages by tenant, conversation and id or wamid, oldest first."""
        wanted = [{"tenant_id": t, "conversation_id": c, "id": i} for t, c, i in set(ids)]
        with reachable():
            return [dict(row) for row in await self.pool.fetch(SQL["bubbles"], wanted)]

    async def watchable(self, company: int, ticket_id: int) -> Row | None:
        """Return the person who has a company's ticket; None when it is not the company's."""
        with reachable():
            row = await self.pool.fetchrow(SQL["watchable"], company, ticket_id)
        return None if row is None else dict(row)
