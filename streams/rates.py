"""Business numbers at this worker, and the leases that say how much each of them may carry."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog

from agents.core.number_rate import NumberRate
from agents.core.rate_shares import Lease, next_share, usable
from schemas.errors import PipelineError, Unavailable
from schemas.events import Channel
from streams.logs import place

log = structlog.get_logger(__name__)

RENEW_S: Final = 0.4
"""Twice of it, and what is not used has moved to who needs it."""
GAP_S: Final = 0.1
"""Shortest time between two renewals."""
VALID_S: Final = 2.0
IDLE_S: Final = 30.0
"""A number that was not used so long has no lease."""
FORGOTTEN_S: Final = 600.0


class Leases(Protocol):
    """Where the shares are kept (``sinks.leases.PostgresLeases``)."""

    @property
    def worker_id(self) -> object:
        """Tells this worker from every other."""

    async def renew(
        self,
        numbers: list[str],
        decide: Callable[[str, Mapping[str, tuple[int, int]]], tuple[int, int]],
        /,
    ) -> dict[str, int]:
        """Take a share of each number."""

    async def leave(self) -> None:
        """Give everything up."""


class NumberRates:
    """The numbers that this worker sends from or hears of, with their leases.

    Attributes:
        known: Numbers in use.
    """

    def __init__(
        self,
        leases: Leases,
        channel: Callable[[str], Channel | None],
        *,
        monotonic: Callable[[], float],
    ) -> None:
        self.leases = leases
        self.channel = channel
        self.monotonic = monotonic
        self.known: dict[str, NumberRate] = {}
        self._renewing: asyncio.Future[None] | None = None
        self._more = asyncio.Event()

    def of(self, number: str) -> NumberRate:
        """Return what is known of a number that is used now."""
        rate = self.known.get(number)
        if rate is None:
            rate = self.known[number] = NumberRate()
        rate.used_at = self.monotonic()
        return rate

    def limit(self, number: str) -> int:
        """Return what WhatsApp lets a number carry in a second; 0 is no limit."""
        channel = self.channel(number) or Channel(phone_number_id=number, app_id="")
        return channel.messages_per_second

    def ask_for_more(self) -> None:
        """Renew soon: the share is nearly used up."""
        self._more.set()

    async def leave(self) -> None:
        """Give every lease up; one that cannot be given up expires."""
        try:
            await self.leases.leave()
        except PipelineError as exc:
            log.warning("leases.left_behind", error=str(exc))

    async def renew(self) -> None:
        """Renew at once; whoever asks meanwhile waits for the same renewal."""
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.ensure_future(self._renew())
        await asyncio.shield(self._renewing)

    async def _renew(self) -> None:
        began = self.monotonic()
        self.known = {n: rate for n, rate in self.known.items() if _in_use(rate, began)}
        numbers = [
            number
            for number, rate in self.known.items()
            if self.limit(number) and (began - rate.used_at < IDLE_S or len(rate.queue))
        ]
        if not numbers:
            return
        shares = await self.leases.renew(numbers, self._share)
        for number, share in shares.items():
            rate = self.known.get(number)
            if rate is None:  # forgotten meanwhile
                continue
            rate.share, rate.valid_until = share, began + VALID_S

    def _share(self, number: str, others: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
        rate, now = self.known[number], self.monotonic()
        wanted = rate.wanted(now)
        share = next_share(
            str(self.leases.worker_id),
            wanted,
            {name: Lease(share=has, wanted=wants) for name, (has, wants) in others.items()},
            total=usable(self.limit(number)),
            carried=min(rate.window.carried(now), rate.share),
        )
        # Before it is written: nobody knows what became of a commit whose answer was lost.
        rate.share = min(rate.share, share)
        return share, wanted

    async def live(self) -> None:
        """Renew again and again, sooner when a share is nearly used up."""
        unheard = False
        while True:
            await asyncio.sleep(GAP_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEW_S - GAP_S):
                    await self._more.wait()
            self._more.clear()
            try:
                await self.renew()
                unheard = False
            except Unavailable as exc:
                if not unheard:
                    log.warning("leases.unavailable", service=exc.service)
                unheard = True
            except Exception as exc:  # noqa: BLE001 - without renewals nothing is sent for ever
                log.error("leases.failed", error=place(exc))  # noqa: TRY400 - I7: no foreign text


def _in_use(rate: NumberRate, now: float) -> bool:
    waits = len(rate.queue) or rate.let or rate.window.open
    return bool(waits) or now - rate.used_at < FORGOTTEN_S
