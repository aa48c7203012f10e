"""Parts of webhook bodies that are too large for a record: kept in Postgres, named by hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import asyncpg

from sinks.database import queries, reachable

REFERENCE_BYTES: Final = 256 << 10
"""Largest part that a record holds itself."""

_SQL: Final = queries("rawparts")


def name_of(raw: bytes) -> str:
    """Return the name under which a part is kept: the SHA-256 of its bytes, hex."""
    return hashlib.sha256(raw).hexdigest()


class RawParts:
    """Stores parts by the hash of their bytes; storing one again changes nothing."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def keep(self, parts: Sequence[bytes]) -> None:
        """Store all of these parts.

        Raises:
            Unavailable: Postgres is down.
        """
        kept = {name_of(part): part for part in parts}
        names, bodies = list(kept), list(kept.values())
        with reachable():
            await self._pool.execute(_SQL["keep"], names, [len(body) for body in bodies], bodies)

    async def fetch(self, name: str) -> bytes | None:
        """Return the part of that name, or None.

        Raises:
            Unavailable: Postgres is down.
        """
        with reachable():
            body: bytes | None = await self._pool.fetchval(_SQL["fetch"], name)
        return body
