"""Ends a process whose event loop stands still: nothing inside the loop could.

It counts its own ticks, not the time: a process that was stopped as a whole is not blamed.
"""

from __future__ import annotations

import os
import threading
from typing import Final

import structlog

log = structlog.get_logger(__name__)

TICK_S: Final = 1.0


class Deadman:
    """A thread that ends the process with code 1 when nobody called ``beat`` for too long.

    Attributes:
        patience_s: How long that is.
    """

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s
        self.ticks = 0
        self.stopped = threading.Event()

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="deadman", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self.stopped.set()

    def beat(self) -> None:
        """Say that the loop runs."""
        self.ticks = 0

    def _watch(self) -> None:
        while not self.stopped.wait(TICK_S):
            self.ticks += 1
            if self.ticks * TICK_S > self.patience_s:
                log.error(
                    "worker.crashed",
                    error=f"the event loop stood still for {self.patience_s:.0f} s:"
                    " something in it blocks; the process ends itself",
                )
                os._exit(1)  # the loop cannot end it
