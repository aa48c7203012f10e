"""A beat: what nobody waits for goes together, at the next one."""

from __future__ import annotations

import asyncio
from typing import Final

BEAT_S: Final = 0.05
"""A quarter of what sinks gather for: people at a console do not see it, and a part of an answer
that waits for ``delivered`` of the part before it waits so much longer at most."""


class Beat:
    """Lets those who wait go on together.

    Args:
        seconds: How long the first of them waits.
    """

    def __init__(self, seconds: float = BEAT_S) -> None:
        self.seconds = seconds
        self._next: asyncio.Event | None = None

    async def next(self) -> None:
        """Return at the next beat, which the first who asks for it begins."""
        if self._next is None:
            self._next = asyncio.Event()
            asyncio.get_running_loop().call_later(self.seconds, self._strike, self._next)
        await self._next.wait()

    def _strike(self, beat: asyncio.Event) -> None:
        self._next = None
        beat.set()
