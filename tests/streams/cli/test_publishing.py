"""`whaticket tenant publish`: what is published again, and what is none to publish."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from schemas.errors import Misconfigured
from streams.cli import build, tenants


class OneCompany:
    """What is stored of companies: one of them."""

    def __init__(self) -> None:
        self.again: list[str | None] = []

    async def get(self, tenant_id: str) -> object | None:
        return object() if tenant_id == "loja" else None

    async def republish(self, tenant_id: str | None) -> None:
        self.again.append(tenant_id)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> OneCompany:
    found = OneCompany()

    def published(forget: Callable[[Any], Awaitable[None]], _: float) -> None:
        asyncio.run(forget(found))  # type: ignore[arg-type]

    monkeypatch.setattr(tenants, "published", published)
    return found


def test_a_company_that_nobody_added_is_not_said_to_be_published(stored: OneCompany) -> None:
    done = CliRunner().invoke(build(), ["tenant", "publish", "lojja"])

    assert isinstance(done.exception, Misconfigured)
    assert str(done.exception) == "no tenant is called lojja"
    assert stored.again == []


@pytest.mark.parametrize(("given", "again"), [(["loja"], ["loja"]), (["--all"], [None]), ([], [])])
def test_what_is_asked_for_is_published_again(
    stored: OneCompany, given: list[str], again: list[str | None]
) -> None:
    done = CliRunner().invoke(build(), ["tenant", "publish", *given])

    assert (done.exit_code, stored.again) == (0, again)
