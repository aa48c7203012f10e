"""Memory: ``memory.update.requested`` -> what was asked and answered, and facts of customers.

Nothing is embedded here: what is recalled is the newest, by customer (docs/adr/0021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from schemas.errors import Refusing, Rejected
from schemas.events import MemoryUpdateRequested
from sinks.database import queries, reachable
from sinks.ports import Recorded

SQL: Final = queries("memory")


class Memories:
    """The sink of what is worth remembering; idempotent by event."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    async def write(self, batch: Sequence[Recorded], /) -> None:
        """Write all of them or none.

        Raises:
            Unavailable: Postgres is down.
            Refusing: Its tables are those of an older release.
            Rejected: A record can never be written.
        """
        events = {event.event_id: event for event in map(_asked, batch)}
        facts = [fact for event in events.values() for fact in _facts(event)]
        try:
            with reachable():
                async with self.pool.acquire() as connection, connection.transaction():
                    await connection.execute(SQL["memories"], list(map(_row, events.values())))
                    if facts:
                        await connection.execute(SQL["facts"], facts)
        except asyncpg.NotNullViolationError as exc:  # ours have every value; theirs want a vector
            raise Refusing("postgres", "run `whaticket migrate`") from exc
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as exc:
            # The server's message may quote the row: only its code is told (promise I7).
            raise Rejected("bad_row", f"postgres refuses a row ({exc.sqlstate})") from None


def _asked(recorded: Recorded) -> MemoryUpdateRequested:
    if not isinstance(recorded.event, MemoryUpdateRequested):
        raise Rejected("wrong_record", f"{type(recorded.event).__name__} is nothing to remember")
    return recorded.event


def _clean(text: str) -> str:
    """Return the text without zero bytes: Postgres has no text with them."""
    return text.replace("\x00", "\ufffd")


def _row(event: MemoryUpdateRequested) -> dict[str, Any]:
    return {
        "tenant_id": event.tenant_id,
        "event_id": event.event_id,
        "customer_id": event.customer_id,
        "conversation_id": event.conversation_id,
        "turn_id": event.turn_id,
        "question": _clean(event.question),
        "answer": _clean(event.answer),
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
