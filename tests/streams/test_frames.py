"""Requests to produce go out as aiokafka would send them, without being joined."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol import produce
from aiokafka.protocol.produce import ProduceRequest

from streams import frames
from streams.batching import Producer
from streams.connections import PLAIN, mend

LENGTH = 4
NUMBER = slice(8, 12)
"""Where the number of a request stands in it: no two have the same."""
TOPICS = [
    ("toy.asked", [(0, bytearray(b"batch of 0")), (3, bytearray(b"batch of 3, longer"))]),
    ("toy-changelog", [(1, bytearray(b""))]),
    ("größer", [(2, bytearray(b"last"))]),
]
LARGE = [("toy.asked", [(number, bytearray(os.urandom(1 << 20))) for number in range(8)])]
"""More than a socket takes at once."""


def request(topics: Any, transactional_id: str | None = None) -> ProduceRequest:
    return ProduceRequest(
        transactional_id=transactional_id, required_acks=-1, timeout=30000, topics=topics
    )


@asynccontextmanager
async def connected(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Any, Any]]:
    """A connection, and what its server reads next: the bytes of one request."""

    async def known(connection: Any) -> None:
        connection._versions = {0: (3, 7)}

    came: asyncio.Queue[bytes] = asyncio.Queue()
    gone = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = await reader.readexactly(LENGTH)
                came.put_nowait(size + await reader.readexactly(int.from_bytes(size, "big")))
        except asyncio.IncompleteReadError:
            writer.close()
            await writer.wait_closed()
            gone.set()

    monkeypatch.setattr(AIOKafkaConnection, "_do_version_lookup", known)
    server = await asyncio.start_server(take, "127.0.0.1", 0)
    connection = AIOKafkaConnection(
        "127.0.0.1", server.sockets[0].getsockname()[1], client_id="toy"
    )
    await connection.connect()
    try:
        yield connection, came.get
    finally:
        connection._requests.clear()  # nobody waits for their answers
        connection.close()
        server.close()
        await gone.wait()


def without_number(raw: bytes) -> bytes:
    return raw[: NUMBER.start] + raw[NUMBER.stop :]


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
@pytest.mark.parametrize("topics", [TOPICS, LARGE, []], ids=["small", "large", "nothing"])
def test_a_frame_is_on_the_wire_what_aiokafka_sends(
    monkeypatch: pytest.MonkeyPatch, run: Any, topics: Any
) -> None:
    async def both() -> tuple[bytes, bytes]:
        async with connected(monkeypatch) as (connection, came):
            PLAIN(connection, request(topics)).close()
            plain = await came()
            frames.send(connection, frames.Frame.of(request(topics))).close()
            return plain, await came()

    plain, framed = run(both())

    assert without_number(framed) == without_number(plain)
    assert framed[NUMBER] != plain[NUMBER]


@pytest.mark.parametrize(
    ("version", "transactional_id"),
    [*((version, None) for version in range(8)), (frames.FIRST_VERSION, "one"), (7, "one")],
)
def test_every_version_has_its_own_body(version: int, transactional_id: str | None) -> None:
    kind = getattr(produce, f"ProduceRequest_v{version}")
    built = frames.Frame.of(request(TOPICS, transactional_id)).build(kind)

    assert b"".join(frames.body(built)) == built.encode()


async def test_batches_are_not_copied() -> None:
    built = request(TOPICS).build(produce.ProduceRequest_v7)
    pieces = {id(piece) for piece in frames.body(built)}

    assert {id(batch) for _, rows in TOPICS for _, batch in rows} <= pieces


async def test_what_waits_for_an_answer_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(monkeypatch) as (connection, _):
        waiting = asyncio.ensure_future(frames.send(connection, frames.Frame.of(request(TOPICS))))
        await asyncio.sleep(0)
        number, asked, answer = connection._requests[0]

        answer.set_result("told")

        assert (number, type(asked)) == (1, produce.ProduceRequest_v7)
        assert await waiting == "told"


async def test_a_frame_on_no_connection_is_a_lost_connection() -> None:
    connection = SimpleNamespace(_writer=None, host="nowhere")

    with pytest.raises(KafkaConnectionError):
        frames.send(connection, frames.Frame.of(request(TOPICS)))


@pytest.mark.parametrize("kind", [RuntimeError, BrokenPipeError])
async def test_a_frame_to_a_lost_connection_is_a_lost_connection(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def lose(_: Any) -> None:
        raise kind("the transport is gone")

    monkeypatch.setattr(AIOKafkaConnection, "send", PLAIN)
    mend()
    async with connected(monkeypatch) as (connection, _):
        monkeypatch.setattr(connection._writer, "writelines", lose)

        with pytest.raises(KafkaConnectionError):
            connection.send(frames.Frame.of(request(TOPICS)))

        assert not connection.connected()


async def test_our_producer_sends_frames_and_asks_all_else_as_before() -> None:
    producer = Producer(bootstrap_servers="nowhere:1", enable_idempotence=True)
    sent = []

    async def send(*asked: Any, **_: Any) -> None:
        sent.append(asked)

    producer.client.send = send
    client = producer._sender.client
    await client.send(1, request(TOPICS))
    await client.send(1, "another request")
    producer._closed = True  # it was never started

    assert [type(asked) for _, asked in sent] == [frames.Frame, str]
    assert client.cluster is producer.client.cluster
