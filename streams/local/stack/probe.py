"""How to tell that a part is ready: by using it, not by its port."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

import asyncpg
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from streams.local.stack.ports import HOST

PROBE_S: Final = 2.0
Kind = Literal["http", "kafka", "postgres", "redis"]


@dataclass(frozen=True, slots=True)
class Probe:
    """A question to a part.

    Attributes:
        kind: How to ask.
        target: ``http``: a URL that answers 200; ``postgres``: a DSN; else a port of 127.0.0.1.
        node: ``kafka``: id of the broker, which must have its place in the cluster.
    """

    kind: Kind
    target: str
    node: int = 1

    async def ready(self, limit_s: float = PROBE_S) -> bool:
        """Whether the part answers as it should within a time; never raises."""
        ask = {"http": _http, "kafka": _kafka, "postgres": _postgres, "redis": _redis}[self.kind]
        try:
            async with asyncio.timeout(limit_s):
                return await ask(self)
        except (OSError, TimeoutError, KafkaError):
            return False
        except (ValueError, TypeError):  # somebody else has the port, and says what we cannot read
            return False
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            return False


async def _http(probe: Probe) -> bool:
    # By hand: it is asked twenty times a second, and a client would load certificates each time.
    url = urlsplit(probe.target)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        head = f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        status = (await reader.readline()).split()
        return status[1:2] == [b"200"]
    finally:
        writer.close()
        await writer.wait_closed()


async def _kafka(probe: Probe) -> bool:
    # A connection of its own: a client writes an error wherever one fails, twenty times a second.
    connection = AIOKafkaConnection(HOST, int(probe.target), client_id="whaticket.up")
    try:
        await connection.connect()
        told = await connection.send(MetadataRequest([]))
    finally:
        connection.close()
    # The port too: a broker of another stack may have taken it, and has the same number.
    wanted = (probe.node, int(probe.target))
    return any((node, port) == wanted for node, _, port, *_ in told.brokers)


async def _postgres(probe: Probe) -> bool:
    connection = await asyncpg.connect(probe.target)
    try:
        return bool(await connection.fetchval("SELECT true"))
    finally:
        await connection.close()


async def _redis(probe: Probe) -> bool:
    reader, writer = await asyncio.open_connection(HOST, int(probe.target))
    try:
        writer.write(b"PING\r\n")
        return await reader.readline() == b"+PONG\r\n"
    finally:
        writer.close()
        await writer.wait_closed()
