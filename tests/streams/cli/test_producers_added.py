"""`whaticket producer add`: for a company that is there."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet
from typer.testing import CliRunner

from schemas.errors import Misconfigured
from sinks.producers import Producers
from sinks.tenants import Tenants
from streams.cli import build
from streams.settings import Settings


class Nowhere:
    """A database that nobody asks."""

    async def close(self) -> None:
        pass


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    current = Settings(secrets_key=Fernet.generate_key().decode())

    async def pool(*_: Any, **__: Any) -> Nowhere:
        return Nowhere()

    async def get(_: Tenants, tenant_id: str) -> object | None:
        return object() if tenant_id == "loja" else None

    async def add(_: Producers, producer: str, tenant_id: str) -> str:
        found.append((producer, tenant_id))
        return "whsec_1"

    monkeypatch.setattr("sinks.database.open_pool", pool)
    monkeypatch.setattr("streams.settings.settings", lambda: current)
    monkeypatch.setattr(Tenants, "get", get)
    monkeypatch.setattr(Producers, "add", add)
    return found


def test_a_producer_of_a_company_gets_a_secret(added: list[tuple[str, str]]) -> None:
    done = CliRunner().invoke(build(), ["producer", "add", "crm", "--tenant", "loja"])

    assert (done.exit_code, added) == (0, [("crm", "loja")])
    assert "secret of crm, shown only now: whsec_1" in done.stdout


def test_a_producer_of_a_company_that_nobody_added_is_refused(
    added: list[tuple[str, str]],
) -> None:
    """Its name would be taken, and each of its pushes refused."""
    done = CliRunner().invoke(build(), ["producer", "add", "crm", "--tenant", "lojja"])

    assert isinstance(done.exception, Misconfigured)
    assert str(done.exception) == "no tenant is called lojja"
    assert added == []
