"""The one real wall clock."""

from __future__ import annotations

import time


class WallClock:
    """The clock of the machine."""

    def now_ms(self) -> int:
        """Unix milliseconds, UTC."""
        return time.time_ns() // 1_000_000
