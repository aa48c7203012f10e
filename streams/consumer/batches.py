"""Which offsets the bytes of a fetch hold, read from the headers of their batches.

Source: Kafka's documentation, section 5.3 "Message Format", record batch of magic 2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from aiokafka.record.memory_records import MemoryRecords

from streams.consumer.account import Range

HEADER: Final = struct.Struct(">qiiBIhiqqqhii")
"""Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, two timestamps,
producer id and epoch, base sequence, count of records."""
LENGTH_ENDS: Final = 12
"""The length of a batch does not count its offset nor itself."""
CONTROL: Final = 0x20
"""Attribute of a batch that holds a transaction's marker."""


def offsets(raw: bytes) -> Iterator[tuple[Range, list[Range]]]:
    """Yield for each whole batch the offsets that it spans, and which of them hold a record.

    A batch that was cut at the end of the answer is left out: it is fetched again.
    """
    at = 0
    while at + HEADER.size <= len(raw):
        base, length, _, _, _, attributes, delta, *_, records = HEADER.unpack_from(raw, at)
        end = at + LENGTH_ENDS + length
        if end > len(raw):
            return
        span = (base, base + delta + 1)
        if attributes & CONTROL:
            yield span, []
        elif records == delta + 1:
            yield span, [span]
        else:  # compaction removed some
            yield span, _kept(raw[at:end])
        at = end


def _kept(batch: bytes) -> list[Range]:
    records = MemoryRecords(batch).next_batch()
    return [(record.offset, record.offset + 1) for record in records or ()]
