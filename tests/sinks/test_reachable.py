"""What Postgres says when it is not an event's fault: no event may be given up for it."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from schemas.errors import Refusing, Unavailable
from sinks.database import COMMAND_TIMEOUT_S, open_pool, queries, reachable


@pytest.mark.parametrize(
    "raised",
    [
        asyncpg.DeadlockDetectedError,
        asyncpg.DiskFullError,
        asyncpg.IdleInTransactionSessionTimeoutError,
        asyncpg.InvalidCachedStatementError,
        asyncpg.LockNotAvailableError,
        asyncpg.TransactionTimeoutError,
    ],
)
def test_what_passes_by_itself_is_waited_for(raised: type[asyncpg.PostgresError]) -> None:
    with pytest.raises(Unavailable) as waiting, reachable():
        raise raised

    assert not isinstance(waiting.value, Refusing)


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (asyncpg.InsufficientPrivilegeError, "42501"),
        (asyncpg.InvalidPasswordError, "28P01"),
        (asyncpg.UndefinedColumnError, "42703"),
        (asyncpg.UndefinedTableError, "42P01"),
    ],
)
def test_what_an_operator_must_mend_is_waited_for_and_says_so(
    raised: type[asyncpg.PostgresError], code: str
) -> None:
    with pytest.raises(Refusing, match=f"\\({code}\\).*whaticket migrate"), reachable():
        raise raised


def test_a_mistake_of_ours_is_no_outage() -> None:
    with pytest.raises(asyncpg.PostgresSyntaxError), reachable():
        raise asyncpg.PostgresSyntaxError


async def test_who_freezes_inside_a_transaction_does_not_keep_its_locks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: dict[str, Any] = {}

    async def create_pool(_: str, **named: Any) -> None:
        told.update(named)

    monkeypatch.setattr(asyncpg, "create_pool", create_pool)
    await open_pool("postgresql://nobody@127.0.0.1:1/nothing")

    limit_ms = int(told["server_settings"]["idle_in_transaction_session_timeout"])
    assert 1_000 < limit_ms <= COMMAND_TIMEOUT_S * 1_000


def test_who_waits_for_kafka_inside_a_transaction_keeps_its_lock() -> None:
    assert "'idle_in_transaction_session_timeout', '0', true" in queries("tenants")["announcing"]
