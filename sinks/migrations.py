"""Migrations: numbered SQL files, each applied once, in one transaction, and never changed."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import asyncpg
import structlog

from schemas.errors import Misconfigured
from sinks.database import queries, reachable

log = structlog.get_logger(__name__)

FILE: Final = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
TIMEOUT_S: Final = 600.0
"""An index on a large table takes minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file of ``sql/migrations``.

    Attributes:
        number: Its place; unique.
        name: Name of the file.
        sql: Its statements.
    """

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Hash of its statements, hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> tuple[Migration, ...]:
    """Return every migration, in order.

    Raises:
        Misconfigured: Two files have one number.
    """
    found: dict[int, Migration] = {}
    for file in files("sinks").joinpath("sql", "migrations").iterdir():
        if match := FILE.match(file.name):
            number = int(match[1])
            if number in found:
                raise Misconfigured(f"two migrations have number {number}")
            found[number] = Migration(number=number, name=file.name, sql=file.read_text("utf-8"))
    return tuple(found[number] for number in sorted(found))


async def migrate(
    pool: asyncpg.Pool, wanted: tuple[Migration, ...] | None = None
) -> tuple[str, ...]:
    """Apply what is missing; processes that do it at the same time wait for one another.

    Args:
        pool: Where to.
        wanted: The migrations; those of this package unless given.

    Returns:
        Names of the migrations that were applied now.

    Raises:
        Misconfigured: A migration that was applied has changed since.
        Unavailable: Postgres is down.
    """
    statements = queries("migrations")
    applied: list[str] = []
    with reachable():
        async with pool.acquire() as connection:
            for migration in wanted if wanted is not None else migrations():
                async with connection.transaction():
                    await connection.execute(statements["lock"], timeout=TIMEOUT_S)
                    await connection.execute(statements["table"])
                    known = await connection.fetchval(statements["known"], migration.number)
                    if known is None:
                        await connection.execute(migration.sql, timeout=TIMEOUT_S)
                        await connection.execute(
                            statements["record"], migration.number, migration.name, migration.sha256
                        )
                        applied.append(migration.name)
                        log.info("migration.applied", migration=migration.name)
                    elif known != migration.sha256:
                        raise Misconfigured(
                            f"migration {migration.name} changed after it was applied:"
                            " restore it and add a new one"
                        )
    return tuple(applied)
