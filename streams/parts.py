"""What a worker is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from streams.kafka.publish import Publisher
from streams.processor.deciding import Codec
from streams.processor.resting import Rest
from streams.processor.stage import Stage
from streams.sinking import SinkRunner


class Tenants(Protocol):
    """Settings of all tenants (``streams.tenancy.tenants.TenantSettings``)."""

    async def start(self) -> None:
        """Return when all of them were read."""

    async def stop(self) -> None:
        """Read no more."""


class Parts(Protocol):
    """What a worker is made of; ``streams.app`` builds it."""

    @property
    def stages(self) -> Sequence[Stage]:
        """Stages to run."""

    @property
    def sinks(self) -> Sequence[SinkRunner]:
        """Sinks to run."""

    @property
    def codec(self) -> Codec:
        """Events to bytes and back."""

    @property
    def publisher(self) -> Publisher:
        """What everything is published through; the worker starts and stops it."""

    @property
    def rest(self) -> Rest | None:
        """Where idle conversations rest."""

    @property
    def loading(self) -> Awaitable[object] | None:
        """What loads in the background; the worker is not ready before its end."""

    @property
    def tenants(self) -> Tenants:
        """Settings of all tenants; the worker starts and stops them."""

    async def close(self) -> None:
        """Close what the parts opened."""


Build = Callable[[], Awaitable[Parts]]
