"""Transcripts: what was said and decided -> contacts, tickets, messages, turns, outcomes.

Rule 1: every statement is a merge: writing a batch again, or records of different topics in
another order, ends in the same rows. Rule 2: one transaction for each batch, a fixed number
of round trips, conversations taken in key order: of one conversation one worker may have what
the customer writes and another what we send. Rule 3: the feed is told after the commit and never
makes a batch fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import asyncpg

from schemas.errors import Rejected
from sinks.changes import Changes, Feed, Key, MessageChange
from sinks.database import queries, reachable
from sinks.ports import Recorded
from sinks.transcript_rows import STATE_RESET_MS, Row, newer, rows_of

SQL: Final = queries("transcripts")

FIRST: Final = ("contacts_missing", "contacts_named", "conversations_seen")
MOVING: Final = ("states", "called")
"""In this order: a call outside the order is the later one, or says nothing."""
TAKEN: Final = ("messages_received", "messages_sent", *MOVING)
"""What changes the row of a conversation that is there."""
LAST: Final = ("statuses", "replies", "turns", "outcomes")


class Transcripts:
    """The sink of what consoles and analysts read.

    Args:
        pool: Where the rows go.
        feed: Told what changed after each commit; none is told unless given.
    """

    def __init__(self, pool: asyncpg.Pool, feed: Feed | None = None) -> None:
        self.pool = pool
        self.feed = feed

    async def write(self, batch: Sequence[Recorded], /) -> None:
        """Write all of them or none.

        Raises:
            Unavailable: Postgres is down.
            Rejected: A record can never be written.
        """
        rows = gathered(batch)
        try:
            with reachable():
                async with self.pool.acquire() as connection, connection.transaction():
                    changes = await merge(connection, rows)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as exc:
            # The server's message may quote the row: only its code is told (promise I7).
            raise Rejected("bad_row", f"postgres refuses a row ({exc.sqlstate})") from None
        if self.feed is not None and changes:
            await self.feed.publish(changes)


def gathered(batch: Iterable[Recorded]) -> Mapping[str, list[Row]]:
    """Return the rows of a batch for each statement; of states only the newest of each key."""
    rows: dict[str, list[Row]] = {}
    states: dict[str, dict[Key, Row]] = {name: {} for name in MOVING}
    for recorded in batch:
        for statement, row in rows_of(recorded.event):
            clean = {name: _storable(value) for name, value in row.items()}
            if statement not in MOVING:
                rows.setdefault(statement, []).append(clean)
                continue
            key, found = _key(row), states[statement]
            if key not in found or newer(clean, found[key]):
                found[key] = clean
    return rows | {name: list(found.values()) for name, found in states.items() if found}


def _storable(value: Any) -> Any:
    """Return the value without zero bytes: Postgres has no text with them."""
    match value:
        case str():
            return value.replace("\x00", "\ufffd")
        case dict():
            return {name: _storable(inner) for name, inner in value.items()}
        case _:
            return value


async def merge(connection: Any, rows: Mapping[str, list[Row]]) -> Changes:
    """Write rows inside a transaction; return what they changed."""
    await _run(connection, rows, FIRST)
    if taken := [row for statement in TAKEN for row in rows.get(statement, ())]:
        await connection.execute(SQL["conversations_taken"], _keys(map(_key, taken)))
    messages = await _messages(connection, rows)
    moved: dict[Key, tuple[str, str | None]] = {}
    for statement in (name for name in MOVING if name in rows):
        more = (STATE_RESET_MS,) if statement == "states" else ()
        for row in await connection.fetch(SQL[statement], rows[statement], *more):
            moved.setdefault(_key(row), (row["status_before"], row["user_before"]))
    await _run(connection, rows, LAST)
    return Changes(messages=messages, moved=moved)


async def _run(connection: Any, rows: Mapping[str, list[Row]], statements: Sequence[str]) -> None:
    for statement in statements:
        if statement in rows:
            await connection.execute(SQL[statement], rows[statement])


async def _messages(connection: Any, rows: Mapping[str, list[Row]]) -> tuple[MessageChange, ...]:
    """Merge the messages; then each conversation shows its newest one."""
    messages: list[MessageChange] = []
    for statement in ("messages_received", "messages_sent"):
        if statement in rows:
            found = await connection.fetch(SQL[statement], rows[statement])
            messages += [MessageChange(**row) for row in found]
    if messages:
        await connection.execute(SQL["newest"], _keys(message.key for message in messages))
    return tuple(messages)


def _key(row: Mapping[str, Any]) -> Key:
    return row["tenant_id"], row["conversation_id"]


def _keys(keys: Iterable[Key]) -> list[Row]:
    return [
        {"tenant_id": tenant_id, "conversation_id": conversation_id}
        for tenant_id, conversation_id in sorted(set(keys))
    ]
