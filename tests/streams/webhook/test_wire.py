"""What a sender can do to a connection, on a real server."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streams.server.heads import BoundedHeads
from streams.server.serving import server_of
from streams.webhook.bodies import Bodies
from tests.streams.webhook.world import APP, World, change, envelope, signature, text

PATH = f"/webhooks/whatsapp/{APP}"
LARGE = b"x" * (10 * 1024 * 1024)


class Line:
    """A connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def status(self) -> int:
        """Status of the next answer; its body is read as well."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await self.reader.readexactly(int(line.split(b":")[1]))
        return int(head.split()[1])

    async def ended(self) -> bool:
        """Wait until the other side hangs up."""
        return await self.reader.read() == b""


@asynccontextmanager
async def served(world: World) -> AsyncIterator[int]:
    """Serve on a real socket; yield its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = server_of(world.app())
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def line(port: int) -> AsyncIterator[Line]:
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield Line(reader, writer)
        finally:
            writer.close()


@pytest.fixture
def world() -> World:
    return World(bodies=Bodies(seconds=0.2))


@pytest.fixture
async def port(world: World) -> AsyncIterator[int]:
    async with served(world) as port:
        yield port


def head(*headers: str) -> bytes:
    return "\r\n".join([f"POST {PATH} HTTP/1.1", "host: webhook", *headers, "", ""]).encode()


def whole(words: str = "oi") -> bytes:
    raw = json.dumps(envelope(change(messages=[text("wamid.1", words=words)]))).encode()
    sent = f"x-hub-signature-256: {signature(raw)}", f"content-length: {len(raw)}"
    return head(*sent) + raw


async def test_a_body_that_trickles_in_chunks_is_408_and_the_line_is_cut(port: int) -> None:
    async with line(port) as sender:
        await sender.say(head("transfer-encoding: chunked"), b"1\r\n{\r\n", b"1\r\n")

        assert await sender.status() == 408
        assert await sender.ended()


async def test_a_head_that_trickles_is_408_and_the_line_is_cut(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedHeads, "head_s", 0.2)
    async with line(port) as sender:
        await sender.say(b"POST /webhooks/", b"whatsapp/app-1 HTTP/1.1\r\nho", b"st: web")

        assert await sender.status() == 408
        assert await sender.ended()


async def test_a_line_on_which_nothing_is_said_is_cut(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedHeads, "head_s", 0.2)
    async with line(port) as sender:
        assert await sender.ended()


async def test_a_second_request_may_not_trickle_either(
    world: World, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedHeads, "head_s", 0.2)
    async with line(port) as sender:
        await sender.say(whole(), b"")
        first = await sender.status()
        await sender.say(b"POST /")

        assert (first, await sender.status()) == (200, 408)
        assert await sender.ended()
    assert len(world.events()) == 1


@pytest.mark.parametrize("start", [b"GET /" + b"a" * 80_000, b"GET / HTTP/1.1\r\nx: " + LARGE])
async def test_a_head_without_an_end_is_431_and_the_line_is_cut(port: int, start: bytes) -> None:
    async with line(port) as sender:
        sender.writer.write(start)

        assert await sender.status() == 431


async def test_ten_megabytes_are_413_announced_or_not(world: World, port: int) -> None:
    async with line(port) as announced:
        await announced.say(head(f"content-length: {len(LARGE)}"))
        first = await announced.status()
    async with line(port) as chunked:
        chunked.writer.write(head("transfer-encoding: chunked"))
        chunked.writer.write(b"%x\r\n" % len(LARGE) + LARGE + b"\r\n0\r\n\r\n")
        second = await chunked.status()

    assert (first, second) == (413, 413)
    assert world.log.records == []


@pytest.mark.parametrize(
    "headers",
    [
        ("content-length: 5", "transfer-encoding: chunked"),
        ("content-length: 5", "content-length: 6"),
        ("content-length: -1",),
        ("content-length: 99999999999999999999999",),
        ("content-length: 5x",),
        ("transfer-encoding: chunked, identity",),
        ("bad header",),
        ("x: a\x00b",),
    ],
)
async def test_headers_that_say_two_things_are_refused(
    world: World, port: int, headers: tuple[str, ...]
) -> None:
    async with line(port) as sender:
        await sender.say(head(*headers) + b"hello")

        assert await sender.status() in (400, 413)
    assert world.log.records == []


async def test_requests_that_come_at_once_are_answered_in_order(world: World, port: int) -> None:
    async with line(port) as sender:
        await sender.say(
            whole("one") + whole("two") + b"GET /health/live HTTP/1.1\r\nhost: w\r\n\r\n"
        )

        assert [await sender.status() for _ in range(3)] == [200, 200, 200]
    assert [event.text for event in world.events()] == ["one", "two"]  # type: ignore[union-attr]  # messages


async def test_a_sender_that_hangs_up_leaves_nothing(world: World, port: int) -> None:
    async with line(port) as sender:
        await sender.say(head("content-length: 100") + b"half")
    async with line(port) as other:
        await other.say(whole())

        assert await other.status() == 200
    assert len(world.events()) == 1
