"""Claims: rows that make an effect outside the log happen at most once (promise I4).

A takeover is a row too, so that one order decides between it and a tool that is about to change
something: both lock the conversation first. A bubble of the AI looks at it as well.

Rule 1: a claim is committed before its effect begins. Rule 2: a claim is never removed
while its event can be delivered again. So a second delivery finds the row and knows that
the effect may have happened.
"""

from __future__ import annotations

from typing import Final, Literal

import asyncpg

from sinks.database import queries, reachable

SQL: Final = queries("claims")


class PostgresClaims:
    """The ``agents.ports.Claims`` of production."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    async def claim(self, kind: str, effect_id: str, attempt: int, /) -> bool:
        """Take the row; False when it is taken already.

        Raises:
            Unavailable: Postgres is down; whether the row was taken is then unknown, and a
                second try finds out.
        """
        with reachable():
            return (await self.pool.fetchval(SQL["claim"], kind, effect_id, attempt)) is not None

    async def claim_write(
        self, call_id: str, attempt: int, conversation_id: str, epoch: int, /
    ) -> Literal["given", "taken", "barred"]:
        """Take the row of a tool call, unless a takeover of a newer epoch was written down.

        One that is taken stays taken: what began before the takeover is not undone by it.

        Raises:
            Unavailable: Postgres is down.
        """
        with reachable():
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute(SQL["lock"], conversation_id)
                if await connection.fetchval(SQL["barred"], conversation_id, epoch):
                    begun = await connection.fetchval(SQL["taken"], "tool", call_id, attempt)
                    return "taken" if begun else "barred"
                given = await connection.fetchval(SQL["claim"], "tool", call_id, attempt)
        return "taken" if given is None else "given"

    async def claim_ai(
        self, bubble_id: str, attempt: int, conversation_id: str, epoch: int, /
    ) -> Literal["given", "taken", "barred"]:
        """Take the row of a bubble, unless a takeover of a newer epoch was written down.

        One statement, without the lock: it sees every takeover that was committed before it, and
        what is claimed at the same moment may be posted, as with the lock.

        Raises:
            Unavailable: Postgres is down.
        """
        with reachable():
            found: Literal["given", "taken", "barred"] = await self.pool.fetchval(
                SQL["claim_ai"], bubble_id, attempt, conversation_id, epoch
            )
        return found

    async def bar(self, conversation_id: str, epoch: int, /) -> None:
        """Let no write and no AI bubble of a conversation start for an epoch before this one.

        Raises:
            Unavailable: Postgres is down.
        """
        with reachable():
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute(SQL["lock"], conversation_id)
                await connection.execute(SQL["claim"], "takeover", conversation_id, epoch)

    async def unbar(self, conversation_id: str, /) -> None:
        """Forget every takeover of a conversation whose epochs begin anew.

        Raises:
            Unavailable: Postgres is down.
        """
        with reachable():
            await self.pool.execute(SQL["unbar"], conversation_id)

    async def taken(self, kind: str, effect_id: str, attempt: int, /) -> bool:
        """Say whether the row is taken, without taking it.

        Raises:
            Unavailable: Postgres is down.
        """
        with reachable():
            return (await self.pool.fetchval(SQL["taken"], kind, effect_id, attempt)) is not None

    async def settle(self, kind: str, effect_id: str, attempt: int, result: str, /) -> None:
        """Write the result beside the claim.

        Raises:
            Unavailable: Postgres is down.
        """
        with reachable():
            await self.pool.execute(SQL["settle"], kind, effect_id, attempt, result)

    async def result(self, kind: str, effect_id: str, attempt: int, /) -> str | None:
        """Return the result that was written beside the claim, or None.

        Raises:
            Unavailable: Postgres is down.
        """
        with reachable():
            found: str | None = await self.pool.fetchval(SQL["result"], kind, effect_id, attempt)
        return found
