from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, cast

import asyncpg
import pytest
from cryptography.fernet import Fernet

from schemas.codec import Codec
from schemas.errors import Misconfigured
from schemas.events import SettingsChanged
from sinks.tenant_fields import BOUNDS, TEXTS, check
from sinks.tenants import SQL, Tenants
from sinks.vault import Vault
from streams.kafka.publish import MAX_RECORD_BYTES
from tests.agents.dispatch.talk import with_settings

LARGEST: dict[str, Any] = {
    **BOUNDS,
    **{name: "\U0001f600" * longest for name, longest in TEXTS.items()},
    "takeover_tags": ("t" * 64,) * 20,
    "handoff_words": ("w" * 64,) * 200,
}


class Row:
    """Postgres with one company, which a newer release has changed before us."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {"name": "Loja", "of_a_newer_release": 7}

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Self]:
        yield self

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def fetchval(self, _: str, __: str) -> dict[str, Any]:
        return self.settings

    async def execute(self, statement: str, *values: Any) -> None:
        if statement == SQL["change"]:
            self.settings = values[1]

    async def fetchrow(self, _: str, tenant_id: str) -> dict[str, Any]:
        row = {"version": 2, "changed_ms": 1, "channels": [], "company": 1}
        return row | {"tenant_id": tenant_id, "settings": self.settings}


def settings(**changes: Any) -> SettingsChanged:
    return with_settings(**changes)


def test_the_largest_settings_fit_the_topic_that_every_worker_reads() -> None:
    largest = settings(**LARGEST)

    check(largest)

    assert len(Codec.offline().encode(largest)) < MAX_RECORD_BYTES // 10


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"burst_quiet_ms": 10**15, "burst_max_ms": 10**15}, "burst_quiet_ms must not be more"),
        ({"burst_max_ms": 2**63}, "burst_max_ms must not be more than 600000"),
        ({"delivered_wait_ms": 10**9}, "delivered_wait_ms must not be more than 600000"),
        ({"turn_token_budget": 2**40}, "turn_token_budget must not be more than 1000000"),
        ({"prompt": "x" * 16_001}, "prompt must not be longer than 16000 characters"),
        ({"prompt": "a\x00b"}, "prompt must not hold a zero byte"),
        ({"handoff_words": ("",)}, "handoff_words are at most 200, of 1 to 64 characters"),
        ({"handoff_words": ("w",) * 201}, "handoff_words are at most 200"),
        ({"takeover_tags": ("a\x00b",)}, "takeover_tags are at most 20"),
    ],
)
def test_what_no_worker_could_use_is_refused_before_it_is_stored(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(Misconfigured, match=said):
        check(settings(**changes))


@pytest.mark.parametrize(
    "name", ["", " loja", "a b", "a.b", "a|b", "a/b", "..", "a\nb", "ação", "x" * 65]
)
@pytest.mark.parametrize("what", ["company", "number", "app"])
async def test_an_id_that_cannot_be_carried_is_refused_before_it_is_stored(
    what: str, name: str
) -> None:
    """A webhook's address, WhatsApp's own address and its callback data hold them."""
    nowhere: Any = None
    tenants = Tenants(nowhere, Vault(Fernet.generate_key().decode()))
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "company": lambda: tenants.add(name, {}),
        "number": lambda: tenants.add_channel("loja", name, app_id="app", token="t"),
        "app": lambda: tenants.add_app(name, verify_token="v", secret="s"),
    }

    with pytest.raises(Misconfigured, match=f"the id of the {what} must be 1 to 64 letters"):
        await asked[what]()


async def test_after_a_rollback_settings_can_be_changed_and_those_of_the_newer_release_stay() -> (
    None
):
    row = Row()
    tenants = Tenants(cast(asyncpg.Pool, row), Vault(Fernet.generate_key().decode()))

    changed = await tenants.change("loja", {"ai_enabled": False})

    assert (changed.name, changed.ai_enabled) == ("Loja", False)
    assert row.settings["of_a_newer_release"] == 7
    with pytest.raises(Misconfigured, match="no setting is called of_a_newer_release"):
        await tenants.change("loja", {"of_a_newer_release": 8})
