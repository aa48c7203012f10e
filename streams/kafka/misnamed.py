"""Records that aiokafka cannot read: one with a header whose name is not UTF-8.

aiokafka raises on it, and again at every further try, so whoever wrote it would have stopped its
partition for good. What aiokafka had taken in the same call, of other partitions too, is lost with
the error; so reading goes back to what is due, and on one by one. The record itself is read by
librdkafka, which leaves headers alone. It comes without any, and goes the way of all others.
A batch that is broken at the broker costs the other partitions the same; nobody can read it.

Source: aiokafka 0.14, ``record/default_records.py`` (a header's name is decoded strictly).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

import structlog
from aiokafka import TopicPartition as Place
from aiokafka.errors import CorruptRecordException, IllegalStateError, UnsupportedCodecError
from aiokafka.structs import ConsumerRecord
from confluent_kafka import KafkaException, TopicPartition

from streams.kafka import librdkafka

log = structlog.get_logger(__name__)

MOST: Final = 500
"""Records of one partition before aiokafka tries again by itself."""
POLL_MS: Final = 100
READ_S: Final = 5.0
BROKEN: Final = (CorruptRecordException, UnsupportedCodecError)
"""What aiokafka raises on a batch whose bytes are not those that were written."""
Due = Callable[[Place, int], int]
"""From where a partition is to be read on, given its position."""
Met = Callable[[Place, int], None]
"""Told a partition, and the offset of a broken batch on it."""


def _nobody(_: Place, __: int) -> None:
    """Tell nobody: aiokafka's next fetch raises it."""


async def read_on(
    consumer: Any, places: Iterable[Place], due: Due, bootstrap: str, met: Met = _nobody
) -> dict[Place, list[ConsumerRecord]]:
    """Return the next records of some partitions up to one that aiokafka cannot read, with it.

    Of a batch that is broken nobody can read anything: it is told of, and stays the next one.

    Args:
        consumer: An aiokafka consumer that raised ``UnicodeDecodeError`` or one of ``BROKEN``.
        places: All partitions that it was asked for.
        due: Tells where what was fetched and not handed on begins; here, or further back.
        bootstrap: Kafka's ``host:port[,host:port]``.
        met: Told of broken batches.
    """
    found: dict[Place, list[ConsumerRecord]] = {}
    for place in places:
        with suppress(IllegalStateError):  # it was taken away
            at = await consumer.position(place)
            if (begin := due(place, at)) < at:
                consumer.seek(place, begin)
            if begin < (consumer.highwater(place) or 0):
                found[place] = await _up_to_it(consumer, place, bootstrap, met)
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
        except UnicodeDecodeError:
            asked = places or consumer.assignment()
            found = await read_on(consumer, asked, self._begin, self._bootstrap)
        self._due.update((place, rows[-1].offset + 1) for place, rows in found.items() if rows)
        return dict(found)

    def _begin(self, place: Place, at: int) -> int:
        return min(at, self._due[place])


async def _up_to_it(consumer: Any, place: Place, bootstrap: str, met: Met) -> list[ConsumerRecord]:
    found: list[ConsumerRecord] = []
    while len(found) < MOST:
        try:
            # No more than one: those that are read before an error are lost with it.
            batch = await consumer.getmany(place, timeout_ms=POLL_MS, max_records=1)
        except UnicodeDecodeError:
            at = await consumer.position(place)
            if (record := await asyncio.to_thread(_read, bootstrap, place, at)) is not None:
                consumer.seek(place, record.offset + 1)
                found.append(record)
            return found
        except BROKEN:
            met(place, await consumer.position(place))
            return found
        if not batch:
            return found
        found += batch[place]
    return found


def _read(bootstrap: str, place: Place, offset: int) -> ConsumerRecord | None:
    """Read one record; None when no broker gives it, which aiokafka tells better."""
    reader = librdkafka.consumer(
        bootstrap,
        "whaticket.misnamed",  # required; nothing is committed
        {"enable.auto.commit": False, "isolation.level": "read_uncommitted"},
    )
    try:
        reader.assign([TopicPartition(place.topic, place.partition, offset)])
        message = reader.poll(READ_S)
    except KafkaException as exc:
        log.warning("record.not_read", error=type(exc).__name__)
        return None
    finally:
        reader.close()
    if message is None or message.error() is not None:
        return None
    log.warning(
        "record.misnamed",
        topic=place.topic,
        partition=place.partition,
        offset=message.offset(),
        why="a header's name is not UTF-8; the record is taken without its headers",
    )
    return _record(message)


def _record(message: Any) -> ConsumerRecord:
    """Return a record as aiokafka would have, without headers."""
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
        (),
    )
