"""Tokens of business numbers and secrets of Meta apps, kept in memory while they are in use."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from schemas.events import Channel
from sinks.database import queries, reachable
from sinks.kept import Kept
from sinks.vault import Vault

SQL: Final = queries("channels")

FRESH_S: Final = 60.0
"""A rotated secret is known everywhere after this time."""

MOST_NUMBERS: Final = 20_000
MOST_APPS: Final = 1_000
"""Strangers choose app ids in URLs: what is remembered of them is bounded."""


@dataclass(frozen=True, slots=True)
class Token:
    """A number's access token; ``secret`` is never shown."""

    version: int
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppSecrets:
    """What a Meta app signs and verifies with; current secret first."""

    verify_token: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


class Channels:
    """Secrets by business number and by app; implements ``agents.ports.Tokens``.

    While Postgres is down, numbers and apps that were used before go on working.

    Args:
        pool: Where the sealed secrets are.
        secrets_key: What opens them.
        newest: Tells what a number's newest settings are, if they are known
            (``tenant.settings.changed``): switched off, it has no token; an older kept token,
            or the answer that there is none, is asked for again.
        monotonic: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        secrets_key: str,
        *,
        newest: Callable[[str], Channel | None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pool = pool
        self.vault = Vault(secrets_key)
        self.newest = newest
        self._tokens: Kept[Token | None] = Kept(
            fresh_s=FRESH_S, most=MOST_NUMBERS, monotonic=monotonic
        )
        self._apps: Kept[AppSecrets | None] = Kept(
            fresh_s=FRESH_S, most=MOST_APPS, monotonic=monotonic
        )

    async def token(self, phone_number_id: str, /) -> str | None:
        """Return the current token, or None when the number has none or may not send.

        Raises:
            Unavailable: Postgres is down and the token is not in memory.
            Refusing: The token was sealed with another key.
        """
        channel = self.newest(phone_number_id) if self.newest is not None else None
        if channel is not None:
            if not channel.active:
                return None
            kept = self._tokens.peek(phone_number_id)
            if kept is None or kept.version < channel.token_version:
                self.forget(phone_number_id)
        token = await self._tokens.get(phone_number_id, self._load_token)
        return None if token is None else token.secret

    def forget(self, phone_number_id: str) -> None:
        """Ask for the token again before its next use."""
        self._tokens.forget(phone_number_id)

    async def app_secrets(self, app_id: str, /) -> tuple[str, ...]:
        """Return the app's secrets, current first, then the previous one; empty is unknown.

        Raises:
            Unavailable: Postgres is down and the app is not in memory.
            Refusing: A secret was sealed with another key.
        """
        app = await self._apps.get(app_id, self._load_app)
        return () if app is None else app.secrets

    async def verify_token(self, app_id: str, /) -> str | None:
        """Return the token that Meta sends when it verifies the webhook; None is unknown.

        Raises:
            Unavailable: Postgres is down and the app is not in memory.
            Refusing: The token was sealed with another key.
        """
        app = await self._apps.get(app_id, self._load_app)
        return None if app is None else app.verify_token

    async def _load_token(self, phone_number_id: str) -> Token | None:
        with reachable():
            row = await self.pool.fetchrow(SQL["token"], phone_number_id)
        return Token(row["token_version"], self.vault.unseal(row["token"])) if row else None

    async def _load_app(self, app_id: str) -> AppSecrets | None:
        with reachable():
            row = await self.pool.fetchrow(SQL["app"], app_id)
        if row is None:
            return None
        sealed = [row["secret"], row["previous_secret"]]
        secrets = tuple(self.vault.unseal(one) for one in sealed if one is not None)
        return AppSecrets(self.vault.unseal(row["verify_token"]), secrets)
