"""Reading a request's body: bounded in bytes, in time, and over all requests together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from starlette.requests import ClientDisconnect, Request

BODY_BYTES: Final = 3 * 1024 * 1024
"""Largest body. Source: WhatsApp Cloud API, "Webhooks": payloads can be up to 3 MB."""

BODY_S: Final = 10.0
"""Longest time that a sender may take for its body."""

HELD_BYTES: Final = 96 * 1024 * 1024
"""Most bytes of all bodies at once; while Kafka is down, requests wait and memory is bounded."""

RETRY_AFTER_S: Final = 2


class Refused(Exception):
    """A request that is answered without being read to its end.

    Attributes:
        status: HTTP status of the answer, whose body is empty.
        headers: Headers of the answer.
    """

    def __init__(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.headers = dict(headers or {})


class Bodies:
    """Reads bodies; one for each process."""

    def __init__(
        self, *, limit: int = BODY_BYTES, seconds: float = BODY_S, held: int = HELD_BYTES
    ) -> None:
        self._limit = limit
        self._seconds = seconds
        self._free = held

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """Read a body and count it as held until the request is answered.

        Raises:
            Refused: 415 when it is compressed, 413 too large, 408 too slow, 503 when the
                process holds too many bodies, 400 when the sender went away.
        """
        if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise Refused(415)
        chunks: list[bytes] = []
        try:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._read(request, chunks)
            except TimeoutError:
                # a sender that is slow once must not keep the connection
                raise Refused(408, {"Connection": "close"}) from None
            except ClientDisconnect:
                raise Refused(400) from None
            yield b"".join(chunks)
        finally:
            self._free += sum(map(len, chunks))

    async def _read(self, request: Request, chunks: list[bytes]) -> None:
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced[:20]) > self._limit:
            raise Refused(413)
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > self._limit:
                raise Refused(413)
            if len(chunk) > self._free:
                raise Refused(503, {"Retry-After": str(RETRY_AFTER_S)})
            self._free -= len(chunk)
            chunks.append(chunk)
