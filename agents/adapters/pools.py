"""Thousands of requests in flight at once, each one cheap.

httpcore's connection pool walks all of its connections for every request that begins or
ends, so its cost grows with the square of what is in flight: 1,000 waiting model calls
took 40 s of CPU. Many small pools cost the same as one small pool.

Source: httpcore2, ``AsyncConnectionPool._assign_requests_to_connections``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import httpx2

POOL_SIZE: Final = 16


@dataclass
class _Pool:
    """A small pool.

    Attributes:
        transport: Its connections.
        busy: Requests that are in flight on them.
    """

    transport: httpx2.AsyncBaseTransport
    busy: int = 0


class Pools(httpx2.AsyncBaseTransport):
    """A transport over small pools; the first one with room takes a request.

    So a quiet process keeps a few warm connections, not one cold one in every pool.

    Args:
        make: Makes the transport of one pool, which holds at most ``POOL_SIZE`` connections.
        most: Most requests in flight; more wait in the last pool.
    """

    def __init__(self, make: Callable[[], httpx2.AsyncBaseTransport], *, most: int) -> None:
        self._make = make
        self._most = max(1, most // POOL_SIZE)
        self._pools: list[_Pool] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request through the first pool with room."""
        pool = self._roomy()
        pool.busy += 1
        try:
            response = await pool.transport.handle_async_request(request)
        except BaseException:
            pool.busy -= 1
            raise
        if not isinstance(response.stream, httpx2.AsyncByteStream):
            raise TypeError("an asynchronous transport gave a synchronous stream")
        response.stream = _Counted(response.stream, pool)
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools:
            await pool.transport.aclose()

    def _roomy(self) -> _Pool:
        for pool in self._pools:
            if pool.busy < POOL_SIZE:
                return pool
        if len(self._pools) < self._most:
            self._pools.append(_Pool(self._make()))
        return self._pools[-1]


class _Counted(httpx2.AsyncByteStream):
    """A response's body; its pool has room again when it is closed."""

    def __init__(self, stream: httpx2.AsyncByteStream, pool: _Pool) -> None:
        self._stream = stream
        self._pool: _Pool | None = pool

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            yield piece

    async def aclose(self) -> None:
        if self._pool is not None:
            self._pool.busy -= 1
            self._pool = None
        await self._stream.aclose()


def network(most: int) -> Pools:
    """Return the transport to the network, for at most this many requests in flight."""
    context = httpx2.create_ssl_context()  # reading the certificates takes 20 ms: once
    limits = httpx2.Limits(max_connections=POOL_SIZE, max_keepalive_connections=POOL_SIZE)
    return Pools(lambda: httpx2.AsyncHTTPTransport(verify=context, limits=limits), most=most)
