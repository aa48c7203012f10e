"""Postgres: one pool for each process, queries kept in ``.sql`` files, errors translated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

import asyncpg
import msgspec

from schemas.errors import Refusing, Unavailable

CONNECT_TIMEOUT_S: Final = 5.0
COMMAND_TIMEOUT_S: Final = 15.0
"""A claim that waits longer is worth less than trying the event again."""

IDLE_IN_TRANSACTION_MS: Final = 10_000
"""Whoever is silent so long inside a transaction is frozen, or its machine is gone. Its locks would
last as long as its connection: hours, and no worker could lease what it held."""

NAME: Final = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\s*$", re.MULTILINE)

WAITING: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # too many connections, out of memory, disk full
    asyncpg.OperatorInterventionError,  # shutdown, crash recovery, statement timeout
    asyncpg.TransactionRollbackError,  # deadlock, serialization: the same batch works later
    asyncpg.ReadOnlySQLTransactionError,  # a failover in progress
    asyncpg.PostgresSystemError,  # I/O error of the server
    asyncpg.InternalClientError,  # what a command meets while its connection is being lost
    asyncpg.IdleInTransactionSessionTimeoutError,  # a server's own limits, after a freeze of ours
    asyncpg.TransactionTimeoutError,
    asyncpg.LockNotAvailableError,  # somebody migrates, and the server waits for no lock
    asyncpg.InvalidCachedStatementError,  # somebody has migrated: the next try asks anew
)
"""Errors after which the same statement may work."""

LOST: Final = ("closed", "closing", "released back to the pool")
"""What asyncpg says of a connection that ended while it was in use."""

REFUSING: Final = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,  # a release that is newer than its tables
    asyncpg.InsufficientPrivilegeError,
)
"""Errors that last until an operator acts."""


async def open_pool(dsn: str, *, max_size: int = 10, name: str = "whaticket") -> asyncpg.Pool:
    """Return a pool; it connects when it is first used, so a process starts without Postgres.

    Args:
        dsn: ``postgresql://`` URL.
        max_size: Most connections of this process.
        name: What ``pg_stat_activity`` shows.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=max_size,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        max_inactive_connection_lifetime=300.0,
        init=_init,
        reset=_reset,
        server_settings={
            "application_name": name,
            "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
            # Every query here is short: compiling one costs more than running it.
            "jit": "off",
            # What is read is in memory: at the default of 4 a batch of three rows reads tables of
            # some thousand rows whole, since the planner takes every batch for a hundred rows.
            # Source: PostgreSQL, "Planner Cost Constants".
            "random_page_cost": "1.1",
            # The vector index knows no tenants: without this, a small tenant finds nothing beside
            # a large one. Source: pgvector's README, "Iterative Index Scans".
            "hnsw.iterative_scan": "strict_order",
        },
    )


async def _init(connection: Any) -> None:
    """Let a connection speak JSON: ``jsonb`` parameters and columns are plain data."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=msgspec.json.decode,
    )


async def _reset(_connection: Any) -> None:
    """Leave a connection as it is: nothing here sets, locks, listens or opens a cursor on it.

    The default is one more statement for every statement: a quarter of a search's time.
    asyncpg itself rolls an open transaction back before it calls this.
    """


@contextmanager
def reachable() -> Iterator[None]:
    """Turn what Postgres raises when it is down into our errors.

    Raises:
        Unavailable: It is down, overloaded, failing over, or too slow: try again.
        Refusing: It refuses our user or database, or its tables are not there or older than we.
    """
    try:
        yield
    except WAITING as exc:
        raise Unavailable("postgres") from exc
    except REFUSING as exc:
        raise Refusing(
            "postgres",
            f"postgres refuses ({exc.sqlstate}): check POSTGRES_DSN and run `whaticket migrate`",
        ) from exc
    except asyncpg.InterfaceError as exc:
        # asyncpg has one class for a lost connection and for a wrong argument
        if not any(words in str(exc) for words in LOST):
            raise
        raise Unavailable("postgres") from exc


@cache
def queries(name: str) -> Mapping[str, str]:
    """Return the statements of ``sql/queries/<name>.sql`` by the names of their headers."""
    text = files("sinks").joinpath("sql", "queries", f"{name}.sql").read_text("utf-8")
    _, *parts = NAME.split(text)
    return MappingProxyType(
        {key: body.strip() for key, body in zip(parts[::2], parts[1::2], strict=True)}
    )
