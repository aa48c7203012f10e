"""What a server of ours writes of the requests that it is sent."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from streams.server.listening import listen
from streams.server.serving import server_of

TOKEN = "eyJhbGciOiJIUzI1NiJ9.a-console-is-let-in-with-it"
HANDSHAKE = (
    f"GET /socket.io/?EIO=4&transport=websocket&token={TOKEN} HTTP/1.1\r\n"
    "host: here\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def console(_: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close"})


async def test_the_token_that_a_console_connects_with_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        listening = listen("127.0.0.1", 0, "API_PORT")
        server = server_of(console, websockets=True)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        reader, writer = await asyncio.open_connection(*listening.getsockname()[:2])
        writer.write(HANDSHAKE.encode())
        async with asyncio.timeout(10):
            answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        server.should_exit = True
        await serving

    assert answer.startswith(b"HTTP/1.1 101 ")
    assert TOKEN not in caplog.text
