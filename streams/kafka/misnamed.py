"""Records that aiokafka cannot read: a header's name is not UTF-8, or how they are compressed.

aiokafka raises on it, and again at every further try, so whoever wrote it would have stopped its
partition for good. What aiokafka had taken in the same call, of other partitions too, is lost with
the error; so reading goes back to what is due, and on one by one. The record itself is read by
librdkafka, which reads headers only when asked. One that has a misnamed header comes without any,
and goes the way of all others. (One that has both is refused still.)

Source: aiokafka 0.14, ``record/default_records.py`` (a header's name is decoded strictly) and
``codec.py`` (only gzip is read without a library that we do not bring: docs/adr/0008).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Any, Final

import structlog
from aiokafka import TopicPartition as Place
from aiokafka.errors import IllegalStateError, UnsupportedCodecError
from aiokafka.structs import ConsumerRecord
from confluent_kafka import KafkaException, TopicPartition

from streams.kafka import librdkafka

log = structlog.get_logger(__name__)

UNREADABLE: Final = (UnicodeDecodeError, UnsupportedCodecError)
"""What aiokafka raises on such a record."""
MOST: Final = 500
"""Records of one partition before aiokafka tries again by itself."""
POLL_MS: Final = 100
READ_S: Final = 5.0
Headers = Sequence[tuple[str, bytes | None]]
Due = Callable[[Place, int], int]
"""From where a partition is to be read on, given its position."""


async def read_on(
    consumer: Any, places: Iterable[Place], due: Due, bootstrap: str
) -> dict[Place, list[ConsumerRecord]]:
    """Return the next records of some partitions up to one that aiokafka cannot read, and on.

    Args:
        consumer: An aiokafka consumer that raised one of ``UNREADABLE``.
        places: All partitions that it was asked for.
        due: Tells where what was fetched and not handed on begins; here, or further back.
        bootstrap: Kafka's ``host:port[,host:port]``.
    """
    found: dict[Place, list[ConsumerRecord]] = {}
    for place in places:
        with suppress(IllegalStateError):  # it was taken away
            at = await consumer.position(place)
            if (begin := due(place, at)) < at:
                consumer.seek(place, begin)
            if begin < (consumer.highwater(place) or 0):
                found[place] = await _up_to_it(consumer, place, bootstrap)
    return {place: records for place, records in found.items() if records}


class Fetches:
    """What a consumer that was given its partitions fetches, also what aiokafka cannot read.

    Positions are set before the first fetch, and by nobody later.
    """

    def __init__(self, consumer: Any, bootstrap: str) -> None:
        self._consumer = consumer
        self._bootstrap = bootstrap
        self._due: dict[Place, int] = {}

    async def getmany(self, *places: Place, timeout_ms: int) -> dict[Place, list[Any]]:
        """Return what comes in this time of these partitions, or of all."""
        consumer = self._consumer
        for place in consumer.assignment() - self._due.keys():
            self._due[place] = await consumer.position(place)
        try:
            found = await consumer.getmany(*places, timeout_ms=timeout_ms)
        except UNREADABLE:
            asked = places or consumer.assignment()
            found = await read_on(consumer, asked, self._begin, self._bootstrap)
        self._due.update((place, rows[-1].offset + 1) for place, rows in found.items() if rows)
        return dict(found)

    def _begin(self, place: Place, at: int) -> int:
        return min(at, self._due[place])


async def _up_to_it(consumer: Any, place: Place, bootstrap: str) -> list[ConsumerRecord]:
    found: list[ConsumerRecord] = []
    while len(found) < MOST:
        try:
            # No more than one: those that are read before an error are lost with it.
            batch = await consumer.getmany(place, timeout_ms=POLL_MS, max_records=1)
        except UNREADABLE as exc:
            at = await consumer.position(place)
            whole = isinstance(exc, UnsupportedCodecError)
            read = _read_compressed if whole else _read_misnamed
            if records := await asyncio.to_thread(read, bootstrap, place, at):
                consumer.seek(place, records[-1].offset + 1)
                found += records
            return found
        if not batch:
            return found
        found += batch[place]
    return found


def _read_misnamed(bootstrap: str, place: Place, offset: int) -> list[ConsumerRecord]:
    """Read one record, not its headers: the binding of librdkafka breaks on such a name."""
    messages = _read(bootstrap, place, offset, 1)
    for message in messages:
        log.warning(
            "record.misnamed",
            topic=place.topic,
            partition=place.partition,
            offset=message.offset(),
            why="a header's name is not UTF-8; the record is taken without its headers",
        )
    return [_record(message, ()) for message in messages]


def _read_compressed(bootstrap: str, place: Place, offset: int) -> list[ConsumerRecord]:
    """Read a record and what comes with it."""
    messages = _read(bootstrap, place, offset, MOST)
    log.warning(
        "records.compressed",
        topic=place.topic,
        partition=place.partition,
        offset=offset,
        count=len(messages),
        why="their compression is not gzip; they are read all the same, but slowly",
    )
    return [_record(message, tuple(message.headers() or ())) for message in messages]


def _read(bootstrap: str, place: Place, offset: int, most: int) -> list[Any]:
    """Return records from an offset on; none when no broker gives it: aiokafka tells better."""
    reader = librdkafka.consumer(
        bootstrap,
        "whaticket.misnamed",  # required; nothing is committed
        {"enable.auto.commit": False, "isolation.level": "read_uncommitted"},
    )
    try:
        reader.assign([TopicPartition(place.topic, place.partition, offset)])
        first = reader.poll(READ_S)
        messages = [] if first is None else [first]
        if messages and most > 1:
            messages += reader.consume(most - 1, 0)
    except KafkaException as exc:
        log.warning("record.not_read", error=type(exc).__name__)
        return []
    finally:
        reader.close()
    return list(takewhile(lambda each: each.error() is None, messages))


def _record(message: Any, headers: Headers) -> ConsumerRecord:
    """Return a record as aiokafka would have."""
    key, value = message.key(), message.value()
    kind, timestamp_ms = message.timestamp()
    return ConsumerRecord(
        message.topic(),
        message.partition(),
        message.offset(),
        timestamp_ms,
        kind - 1,  # librdkafka counts from 1
        key,
        value,
        None,
        -1 if key is None else len(key),
        -1 if value is None else len(value),
        headers,
    )
