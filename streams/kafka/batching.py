"""Records straight into the batches of aiokafka's producer.

``AIOKafkaProducer.send`` goes through five calls and two futures for each record, and whoever
meets a full batch waits until it leaves; then all who wait try again, and most wait once more.
Here a record is appended at once, and a full batch is followed by the next one, up to a limit:
while a broker is away, those who gave up waiting must not fill the memory with what they sent.
The broker's answer settles a whole batch.

Source: aiokafka 0.14.0, ``producer/producer.py`` (``send``), ``producer/message_accumulator.py``
(``add_message``, ``MessageBatch``).
"""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, Protocol

import prometheus_client
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, ProducerClosed
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from schemas.errors import PipelineError, Rejected, Unavailable
from schemas.topics import DLQ_SUFFIX, TOPICS
from streams.metrics import EVENTS_PUBLISHED

log = structlog.get_logger(__name__)

Sent = asyncio.Future[tuple[int, int]]
Failed = Callable[["Producer", BaseException], None]

QUEUED: Final = 32
"""Batches of a partition that may wait to be sent; more than a stage's events in flight fill."""

SLICE: Final = 16
"""Records of a batch that are told of at once. If all were, everybody would work before the next
request leaves, all of it would be in that one, and nobody could work until it is answered."""

OURS: Final = frozenset(topic.name.encode() for topic in TOPICS)
"""Names of events."""

_size: Final = DefaultRecordBatchBuilder.estimate_size_in_bytes


class Outgoing(Protocol):
    """A record to publish (``streams.kafka.publish.Record``)."""

    @property
    def topic(self) -> str:
        """Name of its topic."""

    @property
    def key(self) -> bytes | None:
        """What it is partitioned by."""

    @property
    def value(self) -> bytes | None:
        """Its bytes."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Names and values."""

    @property
    def timestamp_ms(self) -> int | None:
        """Unix milliseconds."""


class Batch(MessageBatch):  # type: ignore[misc] # aiokafka publishes no types
    """Records of one partition, settled together.

    Attributes:
        sent: What those who posted wait for, in the order of the records.
        names: How many records of each event it holds.
        failed: Told why it is not on the log.
        loop: Where they wait.
    """

    def __init__(self, producer: Producer, place: TopicPartition) -> None:
        accumulator = producer._message_accumulator  # noqa: SLF001 - aiokafka has no other way, here and below
        super().__init__(
            place,
            accumulator.create_builder(),
            accumulator._batch_ttl,  # noqa: SLF001
            accumulator._linger_time,  # noqa: SLF001
        )
        self.sent: list[Sent] = []
        self.names: Counter[bytes | str] = Counter()
        self.failed = producer.fail
        self.loop = asyncio.get_running_loop()

    def put(self, record: Outgoing, headers: list[tuple[str, bytes]]) -> Sent | None:
        """Append a record; None when there is no room for it."""
        metadata = self._builder.append(
            timestamp=record.timestamp_ms,
            key=record.key,
            value=record.value,
            headers=headers,
        )
        if metadata is None:
            return None
        sent: Sent = self.loop.create_future()
        self.sent.append(sent)
        self.names[event_type(record)] += 1
        return sent

    def done(self, base_offset: int, *times: Any) -> None:
        """Tell everyone that the broker has it."""
        super().done(base_offset, *times)
        topic = self.tp.topic
        self.loop.call_soon(self._tell, base_offset, 0)
        for name, count in self.names.items():
            published(topic, name).inc(count)

    def _tell(self, base_offset: int, begin: int) -> None:
        """Tell a slice of those who wait; the next one in the next round of the loop."""
        end = begin + SLICE
        for offset, sent in enumerate(self.sent[begin:end], base_offset + begin):
            if not sent.done():  # whoever waited was cancelled
                sent.set_result((self.tp.partition, offset))
        if end < len(self.sent):
            self.loop.call_soon(self._tell, base_offset, end)

    def failure(self, exception: BaseException) -> None:
        """Tell everyone that it may not be there; the producer's errors become ours."""
        self.failed(exception)
        super().failure(exception)
        for told in (self.future, self._drain_waiter):  # nobody else looks at them
            _ = told.cancelled() or told.exception()
        log.warning(
            "publish.failed",
            topic=self.tp.topic,
            records=len(self.sent),
            error=type(exception).__name__,
        )
        for sent in self.sent:
            if not sent.done():
                sent.set_exception(_ours(exception, self.tp.topic))


class Producer(AIOKafkaProducer):  # type: ignore[misc] # aiokafka publishes no types
    """aiokafka's producer with a shorter way into its batches.

    Attributes:
        failed: Told when a batch is not on the log, and why.
    """

    failed: Failed | None = None

    def fail(self, exc: BaseException) -> None:
        """Tell that a batch failed."""
        if self.failed is not None:
            self.failed(self, exc)

    def knows(self, topic: str) -> bool:
        """Tell whether the partitions of a topic are known; else ``partitions_for`` learns them."""
        return bool(self.client.cluster._partitions.get(topic))  # noqa: SLF001 - partitions_for_topic makes a set each time

    def count(self, topic: str) -> int:
        """Return how many partitions a known topic has."""
        return len(self.client.cluster.partitions_for_topic(topic))

    def full(self, topic: str, partition: int | None) -> bool:
        """Tell whether too much of a partition waits already; then wait for ``room``."""
        queued = self._message_accumulator._batches.get((topic, partition))  # noqa: SLF001 - see above
        return queued is not None and len(queued) >= QUEUED

    async def room(self, topic: str, partition: int | None) -> None:
        """Wait until there is room for a partition's records.

        Raises:
            KafkaError: It took too long, or this producer has ended.
        """
        batches = self._message_accumulator._batches  # noqa: SLF001 - see above
        try:
            async with asyncio.timeout(self._request_timeout_ms / 1000):
                while self.full(topic, partition):
                    await batches[topic, partition][0].wait_drain()
        except TimeoutError:
            raise KafkaTimeoutError from None

    def put(self, record: Outgoing, partition: int | None) -> Sent:
        """Append a record of a known topic to the newest batch of its partition.

        Args:
            record: What to send.
            partition: Its partition; None lets the client choose.

        Returns:
            A future of (partition, offset); it fails with Unavailable or Rejected.

        Raises:
            KafkaError: It can never be sent, or not by this producer.
        """
        accumulator = self._message_accumulator
        if accumulator._closed:  # noqa: SLF001 - see above
            raise ProducerClosed
        if accumulator._exception is not None:  # noqa: SLF001 - see above
            raise copy.copy(accumulator._exception)  # noqa: SLF001 - see above
        key, value, headers = record.key, record.value, list(record.headers)
        if partition is None:
            partition = self._partition(record.topic, None, key, value, key, value)
        # A plain tuple finds the same batches, and is made in a tenth of the time.
        batches = accumulator._batches.get((record.topic, partition))  # noqa: SLF001 - see above
        sent: Sent | None = batches[-1].put(record, headers) if batches else None
        if sent is None:
            return self._begin(TopicPartition(record.topic, partition), record, headers)
        return sent

    def _begin(
        self, place: TopicPartition, record: Outgoing, headers: list[tuple[str, bytes]]
    ) -> Sent:
        """Append a record to a new batch, and wake what sends.

        Only here a record can be too large: a batch that has others takes none beyond its limit.
        """
        if _size(record.key, record.value, headers) > self._max_request_size:
            raise MessageSizeTooLargeError
        accumulator = self._message_accumulator
        batch = Batch(self, place)
        sent = batch.put(record, headers)
        assert sent is not None  # noqa: S101 - the first record always has room
        accumulator._batches[place].append(batch)  # noqa: SLF001 - see above
        if not accumulator._waiter_future.done():  # noqa: SLF001 - see above
            accumulator._waiter_future.set_result(None)  # noqa: SLF001 - see above
        return sent


def event_type(record: Outgoing) -> bytes | str:
    """Return the event's name for metrics: its ``ce_type`` header, or its topic.

    A dead letter has the headers of a record that anybody may have written.
    """
    for name, value in record.headers:
        if name == "ce_type":
            ours = value in OURS or not record.topic.endswith(DLQ_SUFFIX)
            return value if ours else record.topic
    return record.topic


@cache
def published(topic: str, name: bytes | str) -> prometheus_client.Counter:
    """Return the metric of an event's records; looked up once."""
    text = name if isinstance(name, str) else name.decode("ascii", "replace")
    return EVENTS_PUBLISHED.labels(topic, text)


def _ours(exc: BaseException, topic: str) -> PipelineError:
    if isinstance(exc, MessageSizeTooLargeError):
        return Rejected("record_too_large", topic)
    return Unavailable("kafka")
