from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from agents.adapters.pools import POOL_SIZE, Pools


async def body() -> AsyncIterator[bytes]:
    yield b"ok"


class Wire:
    """Transports that count how many requests each one has in flight."""

    def __init__(self) -> None:
        self.made = 0
        self.most = 0
        self.gate = asyncio.Event()

    def make(self) -> httpx2.AsyncBaseTransport:
        self.made += 1
        busy = 0

        async def handle(_: httpx2.Request) -> httpx2.Response:
            nonlocal busy
            busy += 1
            self.most = max(self.most, busy)
            await self.gate.wait()
            busy -= 1
            return httpx2.Response(200, content=body())

        return httpx2.MockTransport(handle)


async def test_requests_in_flight_are_spread_over_small_pools() -> None:
    wire = Wire()
    async with httpx2.AsyncClient(transport=Pools(wire.make, most=1_000)) as client:
        asked = [asyncio.create_task(client.get("http://model")) for _ in range(POOL_SIZE * 3)]
        while wire.made < 3:  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0)
        wire.gate.set()
        answers = await asyncio.gather(*asked)

    assert (wire.made, wire.most) == (3, POOL_SIZE)
    assert {answer.content for answer in answers} == {b"ok"}


async def test_requests_one_after_the_other_share_one_pool() -> None:
    wire = Wire()
    wire.gate.set()
    async with httpx2.AsyncClient(transport=Pools(wire.make, most=1_000)) as client:
        for _ in range(POOL_SIZE * 2):
            await client.get("http://model")

    assert wire.made == 1


async def test_a_request_that_failed_makes_room() -> None:
    made: list[int] = []

    def make() -> httpx2.AsyncBaseTransport:
        made.append(1)

        def handle(_: httpx2.Request) -> httpx2.Response:
            raise httpx2.ConnectError("no")

        return httpx2.MockTransport(handle)

    async with httpx2.AsyncClient(transport=Pools(make, most=1_000)) as client:
        for _ in range(POOL_SIZE * 2):
            with pytest.raises(httpx2.ConnectError):
                await client.get("http://model")

    assert made == [1]


async def test_there_are_never_more_pools_than_allowed() -> None:
    wire = Wire()
    async with httpx2.AsyncClient(transport=Pools(wire.make, most=POOL_SIZE)) as client:
        asked = [asyncio.create_task(client.get("http://model")) for _ in range(POOL_SIZE * 2)]
        while wire.most < POOL_SIZE * 2:  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0)
        wire.gate.set()
        await asyncio.gather(*asked)

    assert wire.made == 1
