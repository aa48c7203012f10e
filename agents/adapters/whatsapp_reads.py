"""Read receipts with a typing indicator: posted beside the bubbles, and never waited for.

Source: WhatsApp Cloud API, "Mark messages as read" and "Typing indicators". To say it twice does
no harm; they are no messages and do not count.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp
import orjson

from agents.ports import Observe, Read, ReadTold, Tokens, unobserved
from schemas.errors import PipelineError

MOST: Final = 128
"""Receipts on their way at once; more are dropped: they are worth nothing when they are late."""
LIMIT_S: Final = 5.0
OK: Final = 200


class WhatsAppReads:
    """Shows that messages were read."""

    def __init__(
        self, client: aiohttp.ClientSession, tokens: Tokens, *, observe: Observe = unobserved
    ) -> None:
        self._client = client
        self._tokens = tokens
        self._observe = observe
        self._running: set[asyncio.Task[None]] = set()

    def show(self, read: Read) -> None:
        """Begin to show one receipt."""
        if len(self._running) >= MOST:
            self._observe(ReadTold(outcome="dropped"))
            return
        task = asyncio.create_task(self._tell(read), name="read")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """Show no more; what is on its way is given up."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _tell(self, read: Read) -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                outcome = await self._post(read)
        except (aiohttp.ClientError, TimeoutError):
            outcome = "unknown"
        except PipelineError:
            outcome = "not_sent"
        self._observe(ReadTold(outcome=outcome))

    async def _post(self, read: Read) -> str:
        token = await self._tokens.token(read.phone_number_id)
        if token is None:
            return "not_sent"
        async with self._client.post(
            f"{read.phone_number_id}/messages",
            data=orjson.dumps(body(read)),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            allow_redirects=False,
        ) as answer:
            await answer.read()
            return "told" if answer.status == OK else "refused"


def body(read: Read) -> dict[str, Any]:
    """Return the request's body."""
    return {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": read.wamid,
        "typing_indicator": {"type": "text"},
    }
