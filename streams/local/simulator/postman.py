"""Tells our webhook what became of the messages that it sent: signed, in batches, when due."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Sequence
from typing import Any, Final

import structlog

from agents.ports import Clock
from streams.local.simulator.book import Entry
from streams.local.simulator.course import DELAYS_MS, Told
from streams.local.simulator.envelopes import status, statuses
from streams.local.simulator.redelivery import Redeliveries
from streams.local.simulator.webhook import OK, Post

log = structlog.get_logger(__name__)

BATCH_S: Final = 0.025
"""How long statuses are gathered for one POST."""

BATCH_MAX: Final = 500
"""Most statuses of one POST; Meta sends up to 1,000."""

WAITING_MAX: Final = 500_000
"""Statuses that wait at most; beyond it new ones are dropped, counted and logged."""

LANES: Final = 4
"""POSTs under way at once; Meta's deliveries are concurrent too."""


class Postman:
    """Keeps statuses until they are due, then posts them.

    Args:
        post: Posts to our webhook; None tells nobody.
        again: Delivers what was refused.
        clock: Tells the time.
        told: Statuses that are told of each message, in their order.
    """

    def __init__(
        self,
        post: Post | None,
        again: Redeliveries,
        clock: Clock,
        *,
        told: Sequence[str] = tuple(DELAYS_MS),
    ) -> None:
        self.post = post
        self.again = again
        self.clock = clock
        self.told = tuple(told)
        self.due: list[tuple[int, int, Told, Entry]] = []
        self.promised = asyncio.Event()
        self.order = itertools.count()
        self.free = asyncio.Semaphore(LANES)
        self.posting: set[asyncio.Task[None]] = set()
        self.posted = 0
        self.dropped = 0

    def promise(self, entry: Entry, told: Sequence[Told]) -> None:
        """Tell of a message later."""
        if self.post is None:
            return
        if len(self.due) >= WAITING_MAX:
            self.dropped += 1
            log.warning("simulator.statuses_dropped", dropped=self.dropped)
            return
        for each in told:
            at_ms = entry.at_ms + each.after_ms
            heapq.heappush(self.due, (at_ms, next(self.order), each, entry))
        self.promised.set()

    async def tell(self, entry: Entry, told: Told) -> int:
        """Tell one status now; return the HTTP status of the answer."""
        if self.post is None:
            return OK
        body = statuses([_update(entry, told)])
        answer = await self.post(body)
        if answer != OK:
            self.again.refused(body)
        return answer

    @property
    def waiting(self) -> int:
        """Statuses that are not yet posted, and POSTs under way or to be repeated."""
        return len(self.due) + len(self.posting) + self.again.waiting

    async def run(self) -> None:
        """Post what is due, every 25 ms while anything waits, until cancelled."""
        try:
            while True:
                if not self.due:
                    self.promised.clear()
                    await self.promised.wait()
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
            _, _, told, entry = heapq.heappop(self.due)
            taken.append(_update(entry, told))
        return taken

    async def _deliver(self, body: bytes) -> None:
        try:
            if self.post is not None and await self.post(body) != OK:
                self.again.refused(body)
            self.posted += 1
        finally:
            self.free.release()


def _update(entry: Entry, told: Told) -> tuple[str, dict[str, Any]]:
    at_ms = entry.at_ms + told.stamp_ms
    return entry.phone_number_id, status(entry, told.state, at_ms, code=told.code)
