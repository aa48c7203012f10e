"""Publishing: records that are on the log once their future is done.

One idempotent producer for each process. It partitions by Kafka's murmur2, as every other
client of the pipeline must: a key on another partition would be a second owner of its state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError
from prometheus_client import Counter

from schemas.errors import PipelineError, Rejected, Unavailable
from schemas.events import Event, SettingsChanged
from schemas.ids import traceparent
from streams.metrics import EVENTS_PUBLISHED

log = structlog.get_logger(__name__)

MAX_RECORD_BYTES: Final = 4 << 20
"""Largest record that we send; topics that keep states or dead letters allow as much."""

BATCH_BYTES: Final = 256 << 10
"""Largest batch of a partition; a full one makes every sender wait, each with a task of its own.
At the client's 16 KiB that was an eighth of the CPU time of a busy hop."""

Headers = tuple[tuple[str, bytes], ...]
Sent = asyncio.Future[tuple[int, int]]


class Encoder(Protocol):
    """Turns an event into the bytes of its topic (``schemas.codec.Codec``)."""

    def encode(self, event: Event, /) -> bytes:
        """Return the Confluent wire format of the event."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record to publish.

    Attributes:
        topic: Name of its topic.
        key: What it is partitioned by.
        value: Its bytes; None is a tombstone.
        headers: Names and UTF-8 values.
        timestamp_ms: Unix milliseconds; None is the time of publishing.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None


def record_of(event: Event, codec: Encoder) -> Record:
    """Return the record of an event: its key, bytes, headers and time."""
    key = event.tenant_id if isinstance(event, SettingsChanged) else event.conversation_id
    moment = datetime.fromtimestamp(event.occurred_at / 1000, UTC)
    headers = (
        ("traceparent", traceparent(event.trace_id, event.event_id).encode()),
        ("ce_id", event.event_id.encode()),
        ("ce_type", event.event.encode()),
        ("ce_time", moment.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()),
        ("content-type", b"application/avro"),
    )
    return Record(event.event, key.encode(), codec.encode(event), headers, event.occurred_at)


class Publisher:
    """Publishes records in the order of the calls; idempotent, acknowledged by all replicas."""

    def __init__(
        self, bootstrap: str, *, client_id: str, linger_ms: int = 0, request_timeout_ms: int = 30000
    ) -> None:
        self.bootstrap = bootstrap
        self.client_id = client_id
        self.linger_ms = linger_ms
        self.request_timeout_ms = request_timeout_ms
        self.producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect.

        Raises:
            Unavailable: No broker answers.
        """
        if self.producer is not None:
            return
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            client_id=self.client_id,
            linger_ms=self.linger_ms,
            request_timeout_ms=self.request_timeout_ms,
            max_request_size=MAX_RECORD_BYTES,
            max_batch_size=BATCH_BYTES,
            enable_idempotence=True,
            acks="all",
        )
        try:
            await producer.start()
        except KafkaConnectionError as exc:
            await producer.stop()
            raise Unavailable("kafka") from exc
        self.producer = producer

    async def stop(self) -> None:
        """Send what is open, then disconnect."""
        if self.producer is not None:
            producer, self.producer = self.producer, None
            await producer.stop()

    async def publish(self, records: Iterable[Record]) -> None:
        """Post records in their order; return once the broker has them all.

        Raises:
            Unavailable: The broker did not take one of them; nothing is in flight any more.
            Rejected: One of them is too large; the others were sent.
        """
        sent: list[Sent] = []
        failure: PipelineError | None = None
        try:
            try:
                for record in records:
                    sent.append(await self.post(record))  # noqa: PERF401 - in order
            except PipelineError as exc:
                failure = exc
            for future in sent:
                try:
                    await future
                except PipelineError as exc:
                    failure = failure or exc
        finally:
            for future in sent:
                future.cancel()  # nothing, unless nobody waits for it any more
        if failure is not None:
            raise failure

    async def post(self, record: Record, partition: int | None = None) -> Sent:
        """Hand a record over; calls that follow one another keep their order.

        Returns:
            A future of (partition, offset), done once the broker has the record.
            It fails with Unavailable or Rejected.

        Raises:
            Unavailable: The broker cannot be reached.
            Rejected: The record is larger than ``MAX_RECORD_BYTES``.
        """
        if self.producer is None:
            raise Unavailable("kafka")
        try:
            raw = await self.producer.send(
                record.topic,
                record.value,
                record.key,
                partition,
                record.timestamp_ms,
                list(record.headers),
            )
        except MessageSizeTooLargeError as exc:
            raise Rejected("record_too_large", record.topic) from exc
        except KafkaError as exc:
            raise Unavailable("kafka") from exc
        sent: Sent = asyncio.get_running_loop().create_future()
        raw.add_done_callback(partial(_settle, sent, record))
        return sent


@cache
def _published(topic: str, name: str) -> Counter:
    return EVENTS_PUBLISHED.labels(topic, name)


def _settle(sent: Sent, record: Record, raw: asyncio.Future[Any]) -> None:
    """Hand on what the broker said; its errors become ours."""
    if sent.done():  # whoever waited was cancelled
        return
    if raw.cancelled():
        sent.cancel()
        return
    exc = raw.exception()
    if exc is None:
        _published(record.topic, event_type(record)).inc()
        sent.set_result((raw.result().partition, raw.result().offset))
    elif isinstance(exc, MessageSizeTooLargeError):
        sent.set_exception(Rejected("record_too_large", record.topic))
    else:
        log.warning("publish.failed", topic=record.topic, error=type(exc).__name__)
        sent.set_exception(Unavailable("kafka"))


def event_type(record: Record) -> str:
    """Return the event's name for metrics: its ``ce_type`` header, or its topic."""
    for name, value in record.headers:
        if name == "ce_type":
            return value.decode("ascii", "replace")
    return record.topic
