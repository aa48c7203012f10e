"""Fail-points: this process kills itself between two writes, in chaos runs and tests only.

A crash between the state and what follows from it is rare by chance. A fail-point makes it
certain: after so many passes of one place of the loop the process is killed (SIGKILL), as a
crash would, and nothing of it can tidy up.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from typing import Any, Final

import structlog

from streams.processor.loop import Loop

log = structlog.get_logger(__name__)

REACHED: Final = "failpoint.reached"
"""Last log line of a process that was killed so."""

POINTS: Final = ("before_state", "after_state", "after_publish", "after_ack")
"""Places of the loop, in its order; the changelog has the state after ``after_state``."""


class Failpoint:
    """One place at which the process ends.

    Args:
        asked: Place and number of the pass, such as ``after_state:17``; empty is none.
    """

    def __init__(self, asked: str) -> None:
        self.point, _, number = asked.partition(":")
        self.passes: Iterator[int] = itertools.count(1)
        self.last = int(number or 0)

    def reached(self, point: str) -> None:
        """End the process when this is the place, for the last time."""
        if point == self.point and next(self.passes) == self.last:
            log.warning(REACHED, point=point)
            os.kill(os.getpid(), signal.SIGKILL)


class CrashingLoop(Loop):
    """The loop, with places where it may end; what it does between them is unchanged.

    Attributes:
        failpoint: Where it ends.
    """

    failpoint: Failpoint

    async def _store(self, *args: Any) -> None:
        self.failpoint.reached("before_state")
        await super()._store(*args)
        self.failpoint.reached("after_state")

    def _settle(self, *args: Any) -> None:
        self.failpoint.reached("after_publish")
        super()._settle(*args)
        self.failpoint.reached("after_ack")


def loop_of(failpoint: Failpoint) -> type[Loop]:
    """Return the class of the loops of this process: the plain one unless one may crash."""
    if not failpoint.point:
        return Loop
    return type("Loop", (CrashingLoop,), {"failpoint": failpoint})
