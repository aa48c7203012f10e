"""What the webhook needs of the rest, by shape."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from schemas.events import Channel, Event, SettingsChanged
from sinks.identity import Ask, Place
from sinks.producers import Producer
from streams.kafka.publish import Record


class AppSecrets(Protocol):
    """Secrets of Meta apps (``sinks.channels.Channels``)."""

    async def app_secrets(self, app_id: str, /) -> tuple[str, ...]:
        """Return the active secrets of an app; none when the app is not known.

        Raises:
            Unavailable: Postgres is down and the app is not in memory.
        """

    async def verify_token(self, app_id: str, /) -> str | None:
        """Return the token of the app's subscription check, or None."""


class Numbers(Protocol):
    """Whose business number it is (``streams.tenancy.tenants.TenantSettings``)."""

    def by_phone_number(self, phone_number_id: str, /) -> tuple[SettingsChanged, Channel] | None:
        """Return the tenant and channel of a number, or None when nobody has it."""


class People(Protocol):
    """Where customers' events belong (``sinks.identity.Identities``)."""

    async def resolve(self, asks: Sequence[Ask], /) -> list[Place]:
        """Return the place of each ask, in their order."""


class Keeping(Protocol):
    """Where large parts are stored (``sinks.rawparts.RawParts``)."""

    async def keep(self, parts: Sequence[bytes], /) -> None:
        """Store all of them."""


class Posting(Protocol):
    """The way to the log (``streams.kafka.publish.Publisher``)."""

    async def post(self, record: Record, /) -> asyncio.Future[tuple[int, int]]:
        """Hand over a record; the future is done once the broker has it."""


class Encoding(Protocol):
    """The way to bytes (``schemas.codec.Codec``)."""

    def encode(self, event: Event, /) -> bytes:
        """Return the value of an event."""


class Senders(Protocol):
    """Other systems that push events (``sinks.producers.Producers``)."""

    async def get(self, producer: str, /) -> Producer | None:
        """Return a producer, or None."""
