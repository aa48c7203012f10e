"""Producers: other systems that push events, and the secrets they sign them with."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from schemas.errors import Rejected
from sinks.database import queries, reachable
from sinks.kept import Kept
from sinks.vault import Vault

SECRET_BYTES: Final = 32
FRESH_S: Final = 10.0
"""A rotated secret is in use in every process after this many seconds."""
MOST: Final = 1_000
"""Producers that are remembered."""

_SQL: Final = queries("producers")
_KEPT: Final = 2


@dataclass(frozen=True, slots=True)
class Producer:
    """A system that pushes events.

    Attributes:
        tenant_id: The company on whose behalf it speaks.
        secrets: Secrets that its signatures may be made with, newest first (``whsec_…``).
    """

    tenant_id: str
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        """Name the tenant only."""
        return f"Producer({self.tenant_id!r})"


@dataclass(frozen=True, slots=True)
class Listed:
    """A producer as operators see it, without its secrets."""

    producer: str
    tenant_id: str
    created_at: datetime
    rotated_at: datetime


class Producers:
    """The rows of producers; known ones are in memory and outlive an outage of Postgres.

    Args:
        pool: The database.
        secrets_key: Fernet keys that seal the secrets at rest.
        monotonic: Seconds of a clock that never goes back.

    Raises:
        Misconfigured: The key is no Fernet key.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        secrets_key: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._vault = Vault(secrets_key)
        self._known: Kept[Producer | None] = Kept(fresh_s=FRESH_S, most=MOST, monotonic=monotonic)

    async def get(self, producer: str) -> Producer | None:
        """Return a producer, at most ``FRESH_S`` old; None when there is none of that name.

        One that is known is served while Postgres is down, and Postgres is not asked each time.

        Raises:
            Unavailable: Postgres is down and the producer was never asked for.
            Refusing: Its secrets were encrypted with another key.
        """
        found = await self._known.get(producer, self._load)
        if found is None:  # strangers choose names: none of them is remembered
            self._known.forget(producer)
        return found

    async def _load(self, producer: str) -> Producer | None:
        with reachable():
            row = await self._pool.fetchrow(_SQL["get"], producer)
        return Producer(row["tenant_id"], self._decrypted(row["secrets"])) if row else None

    async def add(self, producer: str, tenant_id: str) -> str:
        """Add a producer; return its secret, which is shown only now.

        Raises:
            Rejected: ``producer_exists``.
            Unavailable: Postgres is down.
        """
        secret = _new_secret()
        with reachable():
            added = await self._pool.fetchval(
                _SQL["add"], producer, tenant_id, self._encrypted((secret,))
            )
        if added is None:
            raise Rejected("producer_exists", "rotate its secret instead")
        return secret

    async def rotate(self, producer: str) -> str:
        """Give a producer a new secret; the one before stays valid until the next rotation.

        Raises:
            Rejected: ``unknown_producer``.
            Unavailable: Postgres is down.
        """
        secret = _new_secret()
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(_SQL["locked"], producer)
                if row is None:
                    raise Rejected("unknown_producer", "add it first")
                kept = (secret, *self._decrypted(row["secrets"]))[:_KEPT]
                await connection.execute(_SQL["rotate"], producer, self._encrypted(kept))
        return secret

    async def listed(self) -> list[Listed]:
        """Return every producer.

        Raises:
            Unavailable: Postgres is down.
        """
        with reachable():
            rows = await self._pool.fetch(_SQL["list"])
        return [
            Listed(row["producer"], row["tenant_id"], row["created_at"], row["rotated_at"])
            for row in rows
        ]

    def _encrypted(self, known: tuple[str, ...]) -> bytes:
        return self._vault.seal(json.dumps(known))

    def _decrypted(self, stored: bytes) -> tuple[str, ...]:
        return tuple(json.loads(self._vault.unseal(stored)))


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
