"""Reading topics whole, outside any group: for people, checks and replay; commits nothing."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from schemas.errors import Misconfigured, Rejected, Unavailable
from schemas.events import Event, Position
from sinks.ports import Recorded
from streams.kafka.misnamed import Fetches
from streams.kafka.partitioner import partition_of
from streams.kafka.publish import filled

log = structlog.get_logger(__name__)

POLL_MS: Final = 200
PATIENCE: Final = 150
"""Polls after which a record that must be there is not waited for any more: 30 s."""
Offsets = Mapping[TopicPartition, int]
"""Offset of the next record, by partition."""


class Reader(Protocol):
    """Turns bytes into events, learning a new schema when needed (``schemas.codec.Codec``)."""

    async def read(self, raw: bytes | None, /) -> Event:
        """Return the event."""


class Reading:
    """Reads topics from where one likes.

    Attributes:
        unreadable: Records that the codec refused, with the reason; they are logged and left out.
    """

    def __init__(
        self, bootstrap: str, codec: Reader, *, client_id: str = "whaticket.reading"
    ) -> None:
        self.bootstrap = bootstrap
        self.codec = codec
        self.client_id = client_id
        self.unreadable: list[tuple[Position, str]] = []

    async def ends(self, topics: Iterable[str], *, key: str | None = None) -> dict[Any, int]:
        """Return the ends of the topics, or of a key's partition of each.

        Raises:
            Unavailable: No broker answers.
            Misconfigured: A topic does not exist.
        """
        async with self._consumer() as consumer:
            places = await _places(consumer, topics, key)
            return dict(await consumer.end_offsets(places))

    async def read(
        self, topics: Iterable[str], *, key: str | None = None, since: Offsets | None = None
    ) -> list[Recorded]:
        """Return the records of the topics up to their present ends.

        Args:
            topics: Names of topics.
            key: Only the records of this key, from its partitions.
            since: Where to begin; a partition that is not named is read from its beginning.

        Raises:
            Unavailable: No broker answers.
            Misconfigured: A topic does not exist.
        """
        return [
            _recorded(record, event)
            async for record, event in self.records(topics, key=key, since=since)
        ]

    async def records(
        self,
        topics: Iterable[str],
        *,
        key: str | None = None,
        partition: int | None = None,
        since: Offsets | None = None,
    ) -> AsyncGenerator[tuple[Any, Event]]:
        """Yield the records of the topics up to their present ends, as they are and as events.

        Args:
            topics: Names of topics.
            key: Only the records of this key, from its partitions.
            partition: Only the records of this partition of each topic.
            since: Where to begin; a partition that is not named is read from its beginning.

        Raises:
            Unavailable: No broker answers.
            Misconfigured: A topic does not exist.
        """
        async with self._consumer() as consumer:
            places = await _places(consumer, topics, key)
            if partition is not None:
                places = [place for place in places if place.partition == partition]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            await _seek(consumer, places, since or {})
            fetches = Fetches(consumer, self.bootstrap)
            while await _behind(consumer, ends):
                async for record, event in self._batch(fetches, key):
                    if record.offset < ends[TopicPartition(record.topic, record.partition)]:
                        yield record, event

    async def cut(
        self, topics: Iterable[str], *, key: str | None = None, partition: int | None = None
    ) -> dict[TopicPartition, int | None]:
        """Return the time of the oldest record of each partition that lost older ones.

        A partition that lost all of them has none.

        Raises:
            Unavailable: No broker answers.
            Misconfigured: A topic does not exist.
        """
        async with self._consumer() as consumer:
            places = await _places(consumer, topics, key)
            beginnings = await consumer.beginning_offsets(places)
            ends = await consumer.end_offsets(places)
            lost = {
                place
                for place in places
                if beginnings[place] > 0 and partition in (None, place.partition)
            }
            times: dict[TopicPartition, int | None] = dict.fromkeys(lost)
            waiting = {place for place in lost if beginnings[place] < ends[place]}
            consumer.assign(list(waiting))
            await _seek(consumer, list(waiting), {})
            fetches = Fetches(consumer, self.bootstrap)
            for _ in range(PATIENCE):
                if not waiting:
                    return times
                batches = await fetches.getmany(*waiting, timeout_ms=POLL_MS)
                first = {place: rows[0].timestamp for place, rows in batches.items() if rows}
                times |= first
                waiting -= first.keys()
        raise Unavailable("kafka")

    async def follow(self, topics: Iterable[str], since: Offsets) -> AsyncIterator[Recorded]:
        """Yield the records of the topics as they come, without an end.

        Raises:
            Unavailable: No broker answers.
            Misconfigured: A topic does not exist.
        """
        async with self._consumer() as consumer:
            places = await _places(consumer, topics, None)
            consumer.assign(places)
            await _seek(consumer, places, since)
            fetches = Fetches(consumer, self.bootstrap)
            while True:
                async for record, event in self._batch(fetches, None):
                    yield _recorded(record, event)

    @contextlib.asynccontextmanager
    async def _consumer(self) -> AsyncIterator[Any]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            client_id=self.client_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            yield consumer
        except KafkaError as exc:
            raise Unavailable("kafka") from exc
        finally:
            await consumer.stop()

    async def _batch(self, fetches: Fetches, key: str | None) -> AsyncIterator[tuple[Any, Event]]:
        """Yield what one poll brings, in the order of time; inside a partition by offset."""
        batches = await fetches.getmany(timeout_ms=POLL_MS)
        wanted = None if key is None else key.encode()
        for record in heapq.merge(*batches.values(), key=lambda record: record.timestamp):
            if wanted is not None and record.key != wanted:
                continue
            try:
                event = await self.codec.read(record.value)
            except Rejected as exc:
                self.unreadable.append((position_of(record), exc.reason))
                log.warning("reading.unreadable", topic=record.topic, reason=exc.reason)
                continue
            yield record, event


async def _places(consumer: Any, topics: Iterable[str], key: str | None) -> list[TopicPartition]:
    """Return the partitions to read; only a key's own when there is one."""
    # The consumer's own partitions_for_topic knows only topics that it has subscribed to.
    cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001 - pinned with faust
    places = []
    for topic in topics:
        count = len(cluster.partitions_for_topic(topic) or ())
        if not count:
            raise Misconfigured(f"topic {topic} is missing: run `whaticket topics apply`")
        numbers = range(count) if key is None else (partition_of(murmur2(key.encode()), count),)
        places += [TopicPartition(topic, number) for number in numbers]
    return places


async def _seek(consumer: Any, places: list[TopicPartition], since: Offsets) -> None:
    beginnings = await consumer.beginning_offsets(places)
    for place in places:
        consumer.seek(place, max(since.get(place, 0), beginnings[place]))


async def _behind(consumer: Any, ends: Offsets) -> bool:
    """Say whether a partition has records before its end that were not fetched."""
    for place, end in ends.items():
        if await consumer.position(place) < end:
            return True
    return False


def _recorded(record: Any, event: Event) -> Recorded:
    return Recorded(
        event=event,
        position=position_of(record),
        headers=filled(record.headers),
        written_ms=record.timestamp,
    )


def position_of(record: Any) -> Position:
    """Return where a record stands."""
    return Position(topic=record.topic, partition=record.partition, offset=record.offset)
