"""Starting while something that is needed is not there yet, or is too busy to answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from schemas.errors import Misconfigured, Unavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")
RETRY_S: Final = 1.0


async def patiently(
    what: str,
    call: Callable[[], Awaitable[T]],
    *,
    limit_s: float | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> T:
    """Call until everything that it needs is there.

    Args:
        what: The step, for the log.
        call: May be repeated as often as one likes.
        limit_s: When to give up; None is never.
        told: Is given the step before each call, and what it waits for after one in vain.

    Raises:
        Misconfigured: An operator must change something first.
        Unavailable: The limit is over.
    """
    began = time.monotonic()
    while True:
        told(what)
        try:
            return await call()
        except Misconfigured:  # an operator is there: a start says at once what is wrong
            raise
        except Unavailable as exc:
            if limit_s is not None and time.monotonic() - began + RETRY_S > limit_s:
                raise
            told(f"{what}: waiting for {exc.service}")
            log.warning("start.waiting", step=what, service=exc.service)
            await asyncio.sleep(RETRY_S)
