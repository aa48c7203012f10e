"""A circuit breaker: while a provider is down, calls fail at once instead of waiting for it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from agents.ports import CircuitChanged, Clock, Observe, unobserved
from schemas.errors import Rejected, Unavailable

CLOSED: Final = 0
HALF_OPEN: Final = 1
OPEN: Final = 2


class Breaker:
    """Opens after failures in a row; after a while lets one call through to see.

    An answer that asks us to wait (429) is an answer: the provider lives, nothing opens.

    Args:
        service: What it guards; a metric label.
        clock: Measures how long it is open.
        failures: Failures in a row after which it opens.
        open_s: Seconds that it stays open before a call may probe.
        observe: Told of every change.
    """

    def __init__(
        self,
        service: str,
        clock: Clock,
        *,
        failures: int = 20,
        open_s: float = 5.0,
        observe: Observe = unobserved,
    ) -> None:
        self._service = service
        self._clock = clock
        self._limit = failures
        self._open_ms = int(open_s * 1000)
        self._observe = observe
        self._failed = 0
        self._opened_at_ms = 0
        self._changed = asyncio.Event()
        self.state = CLOSED

    async def passable(self, patience_s: float) -> None:
        """Wait until a call may pass, but not for ever.

        Args:
            patience_s: Most seconds.
        """
        loop = asyncio.get_running_loop()
        end_s = loop.time() + patience_s
        while (seconds := min(self._refuses_s(), end_s - loop.time())) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Let one call pass and learn from how it ends.

        ``Unavailable`` without a time to wait is a failure; any other end, a success, except
        that a cancelled call tells nothing.

        Raises:
            Unavailable: The circuit is open; says for how long.
        """
        self._enter()
        try:
            yield
            self._succeed()
        except Rejected:
            self._succeed()
            raise
        except Unavailable as exc:
            if exc.retry_after_s is None:
                self._fail()
            else:
                self._succeed()
            raise
        finally:
            if self.state == HALF_OPEN:
                self._turn(OPEN)  # cancelled: the next call probes instead

    def _refuses_s(self) -> float:
        """Return how long calls are refused; endless while one probes, whose end is a change."""
        if self.state == CLOSED:
            return 0.0
        return math.inf if self.state == HALF_OPEN else self._left_ms() / 1000

    def _left_ms(self) -> int:
        now_ms = self._clock.now_ms()
        self._opened_at_ms = min(self._opened_at_ms, now_ms)  # the clock may have been put back
        return self._opened_at_ms + self._open_ms - now_ms

    def _enter(self) -> None:
        if self.state == CLOSED:
            return
        left_ms = self._left_ms()
        if self.state == HALF_OPEN or left_ms > 0:
            raise Unavailable(self._service, max(left_ms, 100) / 1000)
        self._turn(HALF_OPEN)

    def _fail(self) -> None:
        self._failed += 1
        if self.state == HALF_OPEN or self._failed >= self._limit:
            self._opened_at_ms = self._clock.now_ms()
            self._turn(OPEN)

    def _succeed(self) -> None:
        self._failed = 0
        self._turn(CLOSED)

    def _turn(self, state: int) -> None:
        if state != self.state:
            self.state = state
            self._changed.set()
            self._changed = asyncio.Event()
            self._observe(CircuitChanged(service=self._service, state=state))
