from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streams.local.chaos.proxy import Proxy, Weather
from streams.local.stack.ports import HOST, choose


@asynccontextmanager
async def echoing() -> AsyncIterator[Proxy]:
    """A proxy before a server that says everything again."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(1024):
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    ports = choose(("proxy", "server"), {})
    server = await asyncio.start_server(echo, HOST, ports["server"])
    proxy = Proxy(ports["proxy"], ports["server"])
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
        server.close()


async def said(proxy: Proxy, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    try:
        writer.write(text)
        await writer.drain()
        return await reader.readexactly(len(text))
    finally:
        writer.close()


async def test_bytes_pass_unchanged() -> None:
    text = bytes(range(256)) * 20

    async with echoing() as proxy:
        assert await said(proxy, text) == text
        assert (proxy.cut, proxy.delayed, proxy.trickled) == (0, 0, 0)


@pytest.mark.parametrize(
    ("weather", "counter"),
    [(Weather(delay_s=0.001), "delayed"), (Weather(drop_s=0.001), "trickled")],
)
async def test_slow_bytes_come_all_the_same_and_are_counted(weather: Weather, counter: str) -> None:
    text = bytes(range(256))

    async with echoing() as proxy:
        proxy.weather = weather
        assert await said(proxy, text) == text
        assert getattr(proxy, counter) > 0


async def test_a_reset_cuts_what_is_open_and_later_connections_pass() -> None:
    async with echoing() as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"

        assert proxy.reset() == 1

        with contextlib.suppress(ConnectionResetError):  # an end of file says the same
            assert await reader.read(1) == b""
        assert await said(proxy, b"b") == b"b"
        assert proxy.cut == 1
