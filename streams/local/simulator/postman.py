"""Posts what happened to our webhook: signed, in batches, again until it answers 200."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Sequence
from typing import Any, Final

import structlog

from agents.ports import Clock
from streams.local.simulator.book import Entry
from streams.local.simulator.envelopes import status, statuses
from streams.local.simulator.webhook import OK, Post, nowhere

log = structlog.get_logger(__name__)

BATCH_S: Final = 0.025
"""How long statuses are gathered for one POST."""

BATCH_MAX: Final = 500
"""Most statuses of one POST; Meta sends up to 1,000."""

WAITING_MAX: Final = 500_000
"""Statuses that wait at most; beyond it new ones are dropped, counted and logged."""

RETRY_FIRST_S: Final = 0.2
RETRY_MAX_S: Final = 30.0
LANES: Final = 4
"""POSTs under way at once; Meta's deliveries are concurrent too."""

DELAYS_MS: Final = {"sent": 5, "delivered": 40, "read": 120}
"""Milliseconds after acceptance at which each status is told."""


class Postman:
    """Keeps statuses until they are due, then posts them.

    Args:
        post: Posts to our webhook; None tells nobody.
        clock: Tells the time.
        told: Statuses that are told of each message, in their order.
    """

    def __init__(
        self, post: Post | None, clock: Clock, *, told: Sequence[str] = tuple(DELAYS_MS)
    ) -> None:
        self.post = post or nowhere
        self.silent = post is None
        self.clock = clock
        self.told = tuple(told)
        self.due: list[tuple[int, int, str, Entry]] = []
        self.order = itertools.count()
        self.free = asyncio.Semaphore(LANES)
        self.posting: set[asyncio.Task[None]] = set()
        self.posted = 0
        self.retried = 0
        self.dropped = 0

    def promise(self, entry: Entry) -> None:
        """Tell of a message later: sent, delivered, read."""
        if self.silent:
            return
        if len(self.due) >= WAITING_MAX:
            self.dropped += 1
            log.warning("simulator.statuses_dropped", dropped=self.dropped)
            return
        for state in self.told:
            at_ms = entry.at_ms + DELAYS_MS[state]
            heapq.heappush(self.due, (at_ms, next(self.order), state, entry))

    @property
    def waiting(self) -> int:
        """Statuses that are not yet posted, and POSTs under way."""
        return len(self.due) + len(self.posting)

    async def run(self) -> None:
        """Post what is due, every 25 ms, until cancelled."""
        try:
            while True:
                await asyncio.sleep(BATCH_S)
                while updates := self.take():
                    await self.free.acquire()
                    task = asyncio.create_task(self._deliver(statuses(updates)))
                    self.posting.add(task)
                    task.add_done_callback(self.posting.discard)
        finally:
            for task in self.posting:
                task.cancel()
            await asyncio.gather(*self.posting, return_exceptions=True)

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """Take the statuses that are due now, at most one batch."""
        now_ms = self.clock.now_ms()
        taken: list[tuple[str, dict[str, Any]]] = []
        while self.due and self.due[0][0] <= now_ms and len(taken) < BATCH_MAX:
            at_ms, _, state, entry = heapq.heappop(self.due)
            taken.append((entry.phone_number_id, status(entry, state, at_ms)))
        return taken

    async def _deliver(self, body: bytes) -> None:
        """Post until it is taken; the delays grow."""
        delay_s = RETRY_FIRST_S
        try:
            while (code := await self.post(body)) != OK:
                self.retried += 1
                log.warning("simulator.webhook_refused", status=code, again_in_s=delay_s)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)
            self.posted += 1
        finally:
            self.free.release()
