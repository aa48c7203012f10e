"""Memory: ``memory.update.requested`` -> what was asked and answered, and facts of customers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from schemas.errors import Rejected
from schemas.events import MemoryUpdateRequested
from sinks.database import queries, reachable
from sinks.ports import Recorded
from sinks.vectors import Embed, embedded

SQL: Final = queries("memory")


class Memories:
    """The sink of what is worth remembering; idempotent by event."""

    def __init__(self, pool: asyncpg.Pool, embedder: Embed) -> None:
        self.pool = pool
        self.embedder = embedder

    async def write(self, batch: Sequence[Recorded], /) -> None:
        """Write all of them or none; only new ones are embedded.

        Raises:
            Unavailable: Postgres or the embedding model is down.
            Rejected: A record can never be written.
        """
        events = {event.event_id: event for event in map(_asked, batch)}
        with reachable():
            known = {row[0] for row in await self.pool.fetch(SQL["known"], _keys(events.values()))}
        new = [event for event in events.values() if event.event_id not in known]
        vectors = await embedded(
            self.embedder, [f"{event.question}\n{event.answer}" for event in new]
        )
        rows = [_row(event, vector) for event, vector in zip(new, vectors, strict=True)]
        facts = [fact for event in events.values() for fact in _facts(event)]
        try:
            with reachable():
                async with self.pool.acquire() as connection, connection.transaction():
                    await connection.execute(SQL["memories"], rows)
                    await connection.execute(SQL["facts"], facts)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as exc:
            # The server's message may quote the row: only its code is told (promise I7).
            raise Rejected("bad_row", f"postgres refuses a row ({exc.sqlstate})") from None


def _asked(recorded: Recorded) -> MemoryUpdateRequested:
    if not isinstance(recorded.event, MemoryUpdateRequested):
        raise Rejected("wrong_record", f"{type(recorded.event).__name__} is nothing to remember")
    return recorded.event


def _keys(events: Any) -> list[dict[str, str]]:
    return [{"tenant_id": event.tenant_id, "event_id": event.event_id} for event in events]


def _clean(text: str) -> str:
    """Return the text without zero bytes: Postgres has no text with them."""
    return text.replace("\x00", "\ufffd")


def _row(event: MemoryUpdateRequested, vector: list[float]) -> dict[str, Any]:
    return {
        "tenant_id": event.tenant_id,
        "event_id": event.event_id,
        "customer_id": event.customer_id,
        "conversation_id": event.conversation_id,
        "turn_id": event.turn_id,
        "question": _clean(event.question),
        "answer": _clean(event.answer),
        "embedding": vector,
        "at_ms": event.occurred_at,
    }


def _facts(event: MemoryUpdateRequested) -> list[dict[str, Any]]:
    return [
        {
            "tenant_id": event.tenant_id,
            "customer_id": event.customer_id,
            "name": _clean(fact.name),
            "value": _clean(fact.value),
            "event_id": event.event_id,
            "at_ms": event.occurred_at,
        }
        for fact in event.facts
    ]
