"""Sending at a rate: each record at its time, however long the ones before it took."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


async def paced(count: int, per_second: float) -> AsyncIterator[int]:
    """Yield 0, 1, 2 and so on, each when it is due."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / per_second - loop.time()))
        yield number
