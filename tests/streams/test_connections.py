from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from streams.kafka.connections import PLAIN, mend


@pytest.fixture(autouse=True)
def _unmended() -> Iterator[None]:
    AIOKafkaConnection.send = PLAIN
    yield
    AIOKafkaConnection.send = PLAIN


@asynccontextmanager
async def connected(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A connection to a server that never answers, after the kernel has closed its socket."""

    async def nothing(*_: Any) -> None:
        pass

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    monkeypatch.setattr(AIOKafkaConnection, "_do_version_lookup", nothing)
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    connection = AIOKafkaConnection("127.0.0.1", server.sockets[0].getsockname()[1])
    await connection.connect()
    try:
        yield connection
    finally:
        connection.close()
        server.close()


def lost(monkeypatch: pytest.MonkeyPatch) -> tuple[type[BaseException], bool]:
    """What a request on a connection raises whose transport is gone, and whether it is closed."""

    async def ask() -> tuple[type[BaseException], bool]:
        async with connected(monkeypatch) as connection:
            # The reader, who would notice first, has no turn before the write.
            connection._read_task.cancel()
            connection._writer.transport.abort()
            for _ in range(3):  # uvloop closes the handle in a later turn
                await asyncio.sleep(0)
            try:
                connection.send(ApiVersionRequest())
            except (RuntimeError, KafkaConnectionError) as exc:
                return type(exc), not connection.connected()
            raise AssertionError("the write was taken")

    return uvloop.run(ask())


def test_a_write_to_a_lost_connection_is_a_bug_to_aiokafka_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When this fails, uvloop or aiokafka has changed, and ``mend`` may go."""
    kind, _ = lost(monkeypatch)

    assert kind is RuntimeError


def test_a_write_to_a_lost_connection_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    mend()
    mend()

    kind, closed = lost(monkeypatch)

    assert issubclass(kind, KafkaConnectionError)
    assert closed
