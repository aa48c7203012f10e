"""Companies, their business numbers and Meta apps: stored first, then published.

Every change raises the tenant's version; ``unpublished`` finds the versions that are not
surely on the log, so a change that was stored but not published is repaired by publishing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Final

import asyncpg
import msgspec

from schemas.errors import Misconfigured
from schemas.events import SettingsChanged
from schemas.ids import derived, trace
from schemas.topics import SETTINGS_CHANGED
from sinks.database import queries, reachable
from sinks.tenant_fields import FIELDS, check, check_id
from sinks.vault import Vault

SQL: Final = queries("tenants")

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

TURN_S: Final = 60.0
"""Longest wait for others who publish; each gives up after half a minute."""


class Tenants:
    """Companies in Postgres."""

    def __init__(self, pool: asyncpg.Pool, vault: Vault) -> None:
        self.pool = pool
        self.vault = vault

    async def add(self, tenant_id: str, settings: Mapping[str, Any]) -> SettingsChanged:
        """Add a company.

        Raises:
            Misconfigured: It exists, or its id or a setting is wrong.
            Unavailable: Postgres is down.
        """
        check_id("company", tenant_id)
        checked = _checked({"name": tenant_id} | dict(settings))
        with reachable():
            async with self.pool.acquire() as connection, connection.transaction():
                if not await connection.fetchval(SQL["add"], tenant_id, checked):
                    raise Misconfigured(f"tenant {tenant_id} exists already")
                return await _recorded(connection, tenant_id)

    async def change(self, tenant_id: str, settings: Mapping[str, Any]) -> SettingsChanged:
        """Change settings of a company; those that are not given stay.

        So do those of a newer release, which we do not know and do not publish.

        Raises:
            Misconfigured: The company is not known, or a setting is wrong.
            Unavailable: Postgres is down.
        """
        with reachable():
            async with self.pool.acquire() as connection, connection.transaction():
                stored = await connection.fetchval(SQL["settings"], tenant_id)
                if stored is None:
                    raise Misconfigured(f"no tenant is called {tenant_id}")
                checked = _checked(settings, stored)
                await connection.execute(SQL["change"], tenant_id, checked)
                return await _recorded(connection, tenant_id)

    async def get(self, tenant_id: str) -> SettingsChanged | None:
        """Return the settings of a company as they are published, or None."""
        with reachable():
            row = await self.pool.fetchrow(SQL["get"], tenant_id)
        return None if row is None else _settings(row)

    async def all(self) -> tuple[SettingsChanged, ...]:
        """Return the settings of every company."""
        with reachable():
            return tuple(_settings(row) for row in await self.pool.fetch(SQL["all"]))

    @asynccontextmanager
    async def announcing(self) -> AsyncIterator[None]:
        """Be the only one that publishes: no version may come behind a newer one.

        Raises:
            Unavailable: Postgres is down, or another one has published for too long.
        """
        with reachable():
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute(SQL["announcing"], timeout=TURN_S)
                yield

    async def unpublished(self) -> tuple[SettingsChanged, ...]:
        """Return the settings whose newest version is not surely on the log."""
        with reachable():
            return tuple(_settings(row) for row in await self.pool.fetch(SQL["unpublished"]))

    async def published(self, settings: SettingsChanged) -> None:
        """Remember that a version is on the log."""
        with reachable():
            await self.pool.execute(SQL["published"], settings.tenant_id, settings.version)

    async def republish(self, tenant_id: str | None) -> None:
        """Forget that a company's settings, or everyone's, are on the log."""
        with reachable():
            await self.pool.execute(SQL["republish"], tenant_id)

    async def add_channel(
        self,
        tenant_id: str,
        phone_number_id: str,
        *,
        app_id: str,
        token: str,
        messages_per_second: int = 80,
    ) -> SettingsChanged:
        """Give a company a business number.

        Raises:
            Misconfigured: The company or the app is not known, or the number is taken or none.
            Unavailable: Postgres is down.
        """
        check_id("number", phone_number_id)
        return await self._channel(
            tenant_id,
            "add_channel",
            phone_number_id,
            tenant_id,
            app_id,
            self.vault.seal(token),
            messages_per_second,
        )

    async def rotate_channel(self, phone_number_id: str, *, token: str) -> SettingsChanged:
        """Replace the access token of a business number.

        Raises:
            Misconfigured: The number is not known.
            Unavailable: Postgres is down.
        """
        return await self._channel(None, "rotate_channel", phone_number_id, self.vault.seal(token))

    async def activate_channel(self, phone_number_id: str, *, active: bool) -> SettingsChanged:
        """Let a business number send, or stop it.

        Raises:
            Misconfigured: The number is not known.
            Unavailable: Postgres is down.
        """
        return await self._channel(None, "activate_channel", phone_number_id, active)

    async def limit_channel(
        self, phone_number_id: str, *, messages_per_second: int
    ) -> SettingsChanged:
        """Say how much WhatsApp lets a business number carry; 0 is no limit.

        Raises:
            Misconfigured: The number is not known.
            Unavailable: Postgres is down.
        """
        return await self._channel(None, "limit_channel", phone_number_id, messages_per_second)

    async def _channel(
        self, tenant_id: str | None, statement: str, phone_number_id: str, *values: object
    ) -> SettingsChanged:
        try:
            with reachable():
                async with self.pool.acquire() as connection, connection.transaction():
                    owner = await connection.fetchval(SQL[statement], phone_number_id, *values)
                    if owner is None or (tenant_id is not None and owner != tenant_id):
                        raise Misconfigured(f"number {phone_number_id} is taken or not known")
                    await connection.execute(SQL["raise_version"], owner)
                    return await _recorded(connection, owner)
        except asyncpg.ForeignKeyViolationError as exc:
            raise Misconfigured(
                f"add the {'tenant' if 'tenant' in str(exc.constraint_name) else 'app'} first"
            ) from exc

    async def add_app(self, app_id: str, *, verify_token: str, secret: str) -> None:
        """Add a Meta app.

        Raises:
            Misconfigured: It exists, or its id is none.
            Unavailable: Postgres is down.
        """
        check_id("app", app_id)
        sealed = self.vault.seal(verify_token), self.vault.seal(secret)
        with reachable():
            if not await self.pool.fetchval(SQL["add_app"], app_id, *sealed):
                raise Misconfigured(f"app {app_id} exists already")

    async def rotate_app(self, app_id: str, *, secret: str) -> None:
        """Replace an app's secret; the one before goes on being accepted until the next time.

        Raises:
            Misconfigured: The app is not known.
            Unavailable: Postgres is down.
        """
        with reachable():
            if not await self.pool.fetchval(SQL["rotate_app"], app_id, self.vault.seal(secret)):
                raise Misconfigured(f"no app has the id {app_id}")

    async def apps(self) -> tuple[str, ...]:
        """Return the ids of all apps."""
        with reachable():
            return tuple(row["app_id"] for row in await self.pool.fetch(SQL["apps"]))


async def _recorded(connection: Any, tenant_id: str) -> SettingsChanged:
    """Return the settings after a change, and keep them in the history."""
    settings = _settings(await connection.fetchrow(SQL["get"], tenant_id))
    await connection.execute(
        SQL["history"], tenant_id, settings.version, msgspec.to_builtins(settings)
    )
    return settings


def _checked(given: Mapping[str, Any], stored: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
    """Return the settings as they will be stored.

    Args:
        given: What is to be changed.
        stored: What is there.

    Raises:
        Misconfigured: Names a setting that does not exist or has a wrong value.
    """
    unknown = sorted(set(given) - set(FIELDS))
    if unknown:
        raise Misconfigured(f"no setting is called {unknown[0]}: there are {', '.join(FIELDS)}")
    try:
        whole = msgspec.convert(_envelope("-", 1, 0, {**stored, **given}, []), SettingsChanged)
    except msgspec.ValidationError as exc:
        raise Misconfigured(f"a setting has a wrong value: {exc}") from exc
    check(whole)
    plain = msgspec.to_builtins(whole)
    return {**stored, **{name: plain[name] for name in FIELDS}}


def _settings(row: Any) -> SettingsChanged:
    plain = _envelope(
        row["tenant_id"], row["version"], row["changed_ms"], row["settings"], row["channels"]
    )
    return msgspec.convert(plain | {"company": row["company"]}, SettingsChanged)


def _envelope(
    tenant_id: str, version: int, changed_ms: int, settings: Any, channels: Any
) -> dict[str, Any]:
    """Return a version's record: the same row gives the same record."""
    return {
        **settings,
        "event": SETTINGS_CHANGED.name,
        "event_id": derived("settings", tenant_id, version),
        "trace_id": trace("settings", tenant_id, version),
        "tenant_id": tenant_id,
        "conversation_id": "",
        "customer_id": "",
        "idempotency_key": f"{tenant_id}:{version}",
        "occurred_at": changed_ms,
        "version": version,
        "company": 0,
        "channels": channels,
    }
