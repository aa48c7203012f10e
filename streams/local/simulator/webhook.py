"""The way to our webhook: one signed POST, as Meta sends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
import structlog

from streams.local.simulator.envelopes import SIGNATURE_HEADER, sign

log = structlog.get_logger(__name__)

OK: Final = 200
UNREACHABLE: Final = 0
"""Told instead of an HTTP status when there was no answer."""

Post = Callable[[bytes], Awaitable[int]]
"""Posts one body once; returns the HTTP status of the answer."""


class Webhook:
    """Our webhook, as Meta sees it.

    aiohttp, because it costs a fraction of the CPU time that httpx costs: the simulator shares
    the machine with what it tests.

    Args:
        client: Where requests go out; the caller closes it.
        url: Full URL.
        secret: App secret that signs.
    """

    def __init__(self, client: aiohttp.ClientSession, url: str, secret: bytes) -> None:
        self.client = client
        self.url = url
        self.secret = secret

    async def post(self, body: bytes) -> int:
        """Post one body once; return the HTTP status, 0 when there was no answer."""
        headers = {
            SIGNATURE_HEADER: sign(self.secret, body),
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua (whaticket simulator)",
        }
        try:
            async with self.client.post(
                self.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError) as exc:
            log.warning("simulator.webhook_unreachable", error=type(exc).__name__)
            return UNREACHABLE


async def nowhere(_body: bytes) -> int:
    """Take a body for a simulator that has no webhook to tell."""
    return OK
