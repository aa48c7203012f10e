"""Publishing: records that are on the log once their future is done.

One idempotent producer for each process. It partitions by Kafka's murmur2, as every other
client of the pipeline must: a key on another partition would be a second owner of its state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Protocol

import msgspec
import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from schemas.errors import PipelineError, Rejected, Unavailable
from schemas.events import Event, SettingsChanged
from schemas.ids import traceparent
from streams.kafka.batching import Producer, Sent
from streams.kafka.connections import mend
from streams.kafka.partitioner import home
from streams.kafka.producing import abandon, connected, has_ended
from streams.metrics import PRODUCERS_RENEWED

log = structlog.get_logger(__name__)

MAX_RECORD_BYTES: Final = 4 << 20
"""Largest record that we send; topics that keep states or dead letters allow as much."""

BATCH_BYTES: Final = 256 << 10
"""Largest batch of a partition. It stays below the limit of every topic: a batch that is refused
as too large then holds one record, the one to blame."""

MILLIS: Final = tuple(b".%03dZ" % millis for millis in range(1000))

Headers = tuple[tuple[str, bytes], ...]
Foreign = tuple[tuple[str, bytes | None], ...]
"""Headers as anybody may write them: Kafka has some without a value."""


class Encoder(Protocol):
    """Turns an event into the bytes of its topic (``schemas.codec.Codec``)."""

    def encode(self, event: Event, /) -> bytes:
        """Return the Confluent wire format of the event."""


class Record(msgspec.Struct, frozen=True, gc=False):
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


def filled(headers: Iterable[tuple[str, bytes | None]]) -> Headers:
    """Return headers of which each has a value: one that has none gets an empty one."""
    return tuple((name, value or b"") for name, value in headers)


def record_of(event: Event, codec: Encoder) -> Record:
    """Return the record of an event: its key, bytes, headers and time."""
    key = event.tenant_id if isinstance(event, SettingsChanged) else event.conversation_id
    headers = (
        ("traceparent", traceparent(event.trace_id, event.event_id).encode()),
        ("ce_id", event.event_id.encode()),
        ("ce_type", event.event.encode()),
        ("ce_time", _rfc3339(event.occurred_at)),
        ("content-type", b"application/avro"),
    )
    return Record(event.event, key.encode(), codec.encode(event), headers, event.occurred_at)


def _rfc3339(at_ms: int) -> bytes:
    second, rest = divmod(at_ms, 1000)
    return _second(second) + MILLIS[rest]


@lru_cache(maxsize=128)
def _second(at_s: int) -> bytes:
    """Return a second as RFC 3339 without its zone; the records of one second share it."""
    return datetime.fromtimestamp(at_s, UTC).isoformat()[: len("2024-01-01T00:00:00")].encode()


class Publisher:
    """Publishes records in the order of the calls; idempotent, acknowledged by all replicas.

    Attributes:
        producer: What sends now; None before the start and after the end.
        broken: A producer that can send no more; it is replaced before the next record.
        counts: Partitions of each topic when it was first written to: a key never moves.
    """

    def __init__(
        self, bootstrap: str, *, client_id: str, linger_ms: int = 0, request_timeout_ms: int = 30000
    ) -> None:
        self.bootstrap = bootstrap
        self.client_id = client_id
        self.linger_ms = linger_ms
        self.request_timeout_ms = request_timeout_ms
        self.producer: Producer | None = None
        self.broken: Producer | None = None
        self.renewing: asyncio.Future[None] | None = None
        self.counts: dict[str, int] = {}

    async def start(self) -> None:
        """Connect.

        Raises:
            Unavailable: No broker answers.
        """
        mend()
        if self.producer is None:
            self.producer = await self._connected()

    async def _connected(self) -> Producer:
        producer = await connected(
            bootstrap_servers=self.bootstrap,
            client_id=self.client_id,
            linger_ms=self.linger_ms,
            request_timeout_ms=self.request_timeout_ms,
            max_request_size=MAX_RECORD_BYTES,
            max_batch_size=BATCH_BYTES,
        )
        producer.failed = self._give_up
        return producer

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
                by = None
                for record in records:
                    # All by one producer: a new one may overtake what the old has not sent.
                    if sent and (self.producer is not by or self._gone(by)):
                        raise Unavailable("kafka")
                    sent.append(await self.post(record))
                    by = self.producer
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
        producer = self.producer
        if producer is None or producer is self.broken:
            producer = await self._usable()
        try:
            if not producer.knows(record.topic):
                await producer.partitions_for(record.topic)
                self._check(producer)
            if partition is None and record.key is not None:
                partition = self._home(producer, record.topic, record.key)
            if producer.full(record.topic, partition):
                await producer.room(record.topic, partition)
                self._check(producer)
            sent = producer.put(record, partition)
        except MessageSizeTooLargeError as exc:
            raise Rejected("record_too_large", record.topic) from exc
        except KafkaError as exc:
            if has_ended(producer):
                self._give_up(producer, exc)
            raise Unavailable("kafka") from exc
        return sent

    def _check(self, producer: Producer) -> None:
        """Refuse a producer that was replaced while it was waited for."""
        if producer is not self.producer or producer is self.broken:
            raise Unavailable("kafka")

    def _home(self, producer: Producer, topic: str, key: bytes) -> int:
        """Return the partition of a key, by the count that was there when we began."""
        count = self.counts.get(topic)
        if count is None:
            count = self.counts[topic] = producer.count(topic)
        return home(key, count)

    def _give_up(self, producer: Producer, exc: BaseException) -> None:
        """Use a producer no more: a record that failed leaves a hole in its sequence numbers.

        The broker then refuses every later batch of the partition, and aiokafka never begins a
        new sequence.
        """
        if producer is self.producer and producer is not self.broken:
            self.broken = producer
            PRODUCERS_RENEWED.labels(type(exc).__name__).inc()
            log.error("producer.broken", error=type(exc).__name__)

    def _gone(self, producer: Producer | None) -> bool:
        return producer is not None and producer is self.broken

    async def _usable(self) -> Producer:
        """Return the producer; a broken one is replaced once nothing of it is under way.

        Raises:
            Unavailable: There is none, and no broker answers.
        """
        if self.producer is not None and self.producer is self.broken:
            if self.renewing is None or self.renewing.done():
                self.renewing = asyncio.ensure_future(self._renew(self.producer))
                self.renewing.add_done_callback(_looked_at)
            await asyncio.shield(self.renewing)  # whoever asked may be cancelled
        if self.producer is None:
            raise Unavailable("kafka")
        return self.producer

    async def _renew(self, broken: Producer) -> None:
        fresh = await self._connected()
        if self.producer is broken:
            await abandon(broken)
        if self.producer is broken:
            self.producer, self.broken = fresh, None
            log.info("producer.renewed")
        else:  # stopped meanwhile
            await fresh.stop()


def _looked_at(renewing: asyncio.Future[None]) -> None:
    """Look at how a renewal ended: all who waited for it may be gone."""
    _ = renewing.cancelled() or renewing.exception()
