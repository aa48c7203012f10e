"""A server's protocol that takes no request line and headers of any length, nor for ever.

uvicorn bounds neither: a sender that writes a header byte by byte, or one without an end,
would hold a connection and memory for as long as it likes.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S: Final = 10.0
"""Longest time from a connection, or the first byte of a request, to the end of its headers."""

HEAD_BYTES: Final = 64 * 1024
"""Longest request line and headers; Meta's are under 2 KiB."""


def _answer(status: HTTPStatus) -> bytes:
    line = f"HTTP/1.1 {status.value} {status.phrase}"
    return f"{line}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode()


SLOW: Final = _answer(HTTPStatus.REQUEST_TIMEOUT)
LONG: Final = _answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)


class BoundedHeads(HttpToolsProtocol):
    """Answers 408 to a head that comes too slowly, 431 to one that is too long, and hangs up."""

    head_s = HEAD_S
    head_bytes = HEAD_BYTES
    _timer: asyncio.TimerHandle | None = None
    _bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Wait for the head of a request, the first or a later one of the connection."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """Stop waiting: the body has limits of its own."""
        self._came()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head that is not yet complete."""
        super().data_received(data)
        if self._timer is not None:
            self._bytes += len(data)
            if self._bytes > self.head_bytes:
                self._hang_up(LONG)

    def _wait(self) -> None:
        self._came()
        self._bytes = 0
        self._timer = self.loop.call_later(self.head_s, self._too_slow)

    def _came(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if not getattr(self.cycle, "response_complete", True):
            self._wait()  # an earlier request of the connection is still being answered
        else:
            self._hang_up(SLOW if self._bytes else b"")

    def _hang_up(self, answer: bytes) -> None:
        self._came()
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
