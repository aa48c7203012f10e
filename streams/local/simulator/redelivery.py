"""Bodies that our webhook did not take, or shall get again: by Meta's schedule, for seven days.

Source: Meta, "Webhooks: Retry": anything but 200 is retried at once, then less and less often
for up to seven days, then dropped. The times between are not published; here they double.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from agents.ports import Clock
from streams.local.simulator.webhook import OK, Post

log = structlog.get_logger(__name__)

FIRST_MS: Final = 200
"""How soon "at once" is."""

LONGEST_MS: Final = 30_000
"""Longest time between two tries, unless told otherwise: a test would wait for it."""

DAY_MS: Final = 86_400_000
GIVEN_UP_MS: Final = 7 * DAY_MS
LATE_MS: Final = (
    3_600_000,
    6 * 3_600_000,
    DAY_MS,
    3 * DAY_MS,
    GIVEN_UP_MS - 60_000,
)
"""When a body that was taken is delivered again: what a second subscriber's retries look like."""

WAITING_MAX: Final = 100_000
LOOK_S: Final = 0.05
AT_ONCE: Final = 8
"""Deliveries under way at once."""

Tell = Callable[[int, int], None]
"""Told of one delivery: its number, and the HTTP status."""


def pause_ms(tries: int, longest_ms: int = LONGEST_MS) -> int:
    """Return how long to wait after the n-th try, from 1."""
    return min(longest_ms, FIRST_MS << min(tries - 1, 40))


@dataclass(frozen=True, slots=True)
class Parcel:
    """One body on its way.

    Attributes:
        body: Its bytes.
        first_ms: When it was first tried.
        tries: How often it was tried.
        again: Whether it is tried until it is taken; else this once.
        told: Told of each delivery.
    """

    body: bytes
    first_ms: int
    tries: int
    again: bool
    told: Tell


class Redeliveries:
    """Delivers again what is due, by the simulator's clock.

    Attributes:
        retried: Tries after the first.
        dropped: Bodies that were never taken.
        longest_ms: Longest time between two tries.
    """

    def __init__(self, post: Post, clock: Clock) -> None:
        self.post = post
        self.clock = clock
        self.longest_ms = LONGEST_MS
        self.due: list[tuple[int, int, Parcel]] = []
        self.kept = asyncio.Event()
        self.order = itertools.count()
        self.posting: set[asyncio.Task[None]] = set()
        self.retried = 0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Bodies that were refused and wait for another try, and those under way."""
        return sum(parcel.again for _, _, parcel in self.due) + len(self.posting)

    def refused(self, body: bytes, told: Tell = lambda _number, _status: None) -> None:
        """Try a body again that was refused just now, until it is taken or seven days are over."""
        now_ms = self.clock.now_ms()
        self._keep(pause_ms(1, self.longest_ms), Parcel(body, now_ms, 1, again=True, told=told))

    def repeat(self, body: bytes, told: Tell) -> None:
        """Deliver a body again that was taken, over seven days."""
        now_ms = self.clock.now_ms()
        for number, after_ms in enumerate(LATE_MS, 1):
            self._keep(after_ms, Parcel(body, now_ms, number, again=False, told=told))

    async def run(self) -> None:
        """Deliver what is due, until cancelled."""
        try:
            while True:
                if not self.due:
                    self.kept.clear()
                    await self.kept.wait()
                await asyncio.sleep(LOOK_S)
                self.begin()
        finally:
            for task in self.posting:
                task.cancel()
            await asyncio.gather(*self.posting, return_exceptions=True)

    def begin(self) -> None:
        """Begin the deliveries that are due."""
        now_ms = self.clock.now_ms()
        while self.due and self.due[0][0] <= now_ms and len(self.posting) < AT_ONCE:
            _, _, parcel = heapq.heappop(self.due)
            task = asyncio.create_task(self._deliver(parcel))
            self.posting.add(task)
            task.add_done_callback(self.posting.discard)

    def _keep(self, after_ms: int, parcel: Parcel) -> None:
        if len(self.due) >= WAITING_MAX:
            self._drop("full")
            return
        due_ms = self.clock.now_ms() + after_ms
        heapq.heappush(self.due, (due_ms, next(self.order), parcel))
        self.kept.set()

    async def _deliver(self, parcel: Parcel) -> None:
        status = await self.post(parcel.body)
        self.retried += 1
        parcel.told(parcel.tries, status)
        if status == OK or not parcel.again:
            return
        tries = parcel.tries + 1
        after_ms = pause_ms(tries, self.longest_ms)
        log.warning("simulator.webhook_refused", status=status, again_in_s=after_ms / 1000)
        if self.clock.now_ms() + after_ms - parcel.first_ms > GIVEN_UP_MS:
            self._drop("seven_days")
            return
        self._keep(
            after_ms, Parcel(parcel.body, parcel.first_ms, tries, again=True, told=parcel.told)
        )

    def _drop(self, why: str) -> None:
        self.dropped += 1
        log.warning("simulator.webhook_dropped", why=why, dropped=self.dropped)
