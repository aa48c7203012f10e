"""Requests to produce, sent as they lie in memory.

aiokafka joins a request level by level: batch, partitions, topic, topics, request, header, size.
So each byte of a record was copied eight times on its way to the socket, a tenth of a hop's CPU
time. Here only what stands between the batches is made, and the socket takes all in their order.

Source: aiokafka 0.14.0, ``conn.py`` (``AIOKafkaConnection.send``); Kafka's protocol, Produce API,
versions 3 to 8.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.types import String
from aiokafka.util import wait_for

FIRST_VERSION: Final = 3
"""The first version with this layout; every broker that knows idempotent producers speaks it."""
TEXT: Final = String("utf-8")
SIZE: Final = struct.Struct(">i")
BOUNDS: Final = struct.Struct(">hii")
"""Acknowledgements, ms that the broker may take, count of topics."""
PLACE: Final = struct.Struct(">ii")
"""Number of a partition, size of its batch."""


class Frame(ProduceRequest):  # type: ignore[misc] # aiokafka publishes no types
    """A request to produce that a connection sends without joining it."""

    @classmethod
    def of(cls, request: ProduceRequest) -> Frame:
        """Return a request of aiokafka's own as one of ours."""
        return cls(
            transactional_id=request._transactional_id,  # noqa: SLF001 - it has no public name, here and below
            required_acks=request._required_acks,  # noqa: SLF001
            timeout=request._timeout,  # noqa: SLF001
            topics=request._topics,  # noqa: SLF001
        )


class Framing:
    """aiokafka's client as its sender sees it: what it produces goes out in frames."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        """Send a request."""
        if isinstance(request, ProduceRequest):
            request = Frame.of(request)
        return await self._client.send(node_id, request, **options)


def send(connection: Any, frame: Frame) -> Any:
    """Send a frame as ``AIOKafkaConnection.send`` does; return what waits for the answer.

    Raises:
        KafkaConnectionError: The connection is lost.
    """
    writer = connection._writer  # noqa: SLF001 - it has no public name, here and below
    if writer is None:
        raise KafkaConnectionError(f"No connection to broker at {connection.host}")
    request = frame.prepare(connection._versions)  # noqa: SLF001
    number = connection._next_correlation_id()  # noqa: SLF001
    header = request.build_request_header(
        correlation_id=number,
        client_id=connection._client_id,  # noqa: SLF001
    )
    parts = [header.encode(), *body(request)]
    writer.writelines([SIZE.pack(sum(map(len, parts))), *parts])
    answer = connection._loop.create_future()  # noqa: SLF001
    connection._requests.append((number, request, answer))  # noqa: SLF001
    return wait_for(answer, connection._request_timeout)  # noqa: SLF001


def body(request: Any) -> list[bytes | bytearray]:
    """Return the body of a request in pieces; the batches are not copied."""
    if request.API_VERSION < FIRST_VERSION:
        return [request.encode()]
    topics = request.topics
    bounds = BOUNDS.pack(request.required_acks, request.timeout, len(topics))
    parts = [TEXT.encode(request.transactional_id) + bounds]
    for topic, batches in topics:
        parts.append(TEXT.encode(topic) + SIZE.pack(len(batches)))
        for partition, batch in batches:
            parts += (PLACE.pack(partition, len(batch)), batch)
    return parts
