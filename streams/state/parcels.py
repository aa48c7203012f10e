"""An outbox in a table value: sizes of its records in the head, their bytes behind the state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from streams.kafka.publish import Record

NO_PARCELS: Final = msgspec.Raw(b"[]")
_ENCODER: Final = msgspec.json.Encoder()


class Parcel(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Sizes of one record of the outbox; -1 stands for None."""

    topic: str
    key_bytes: int
    value_bytes: int
    headers: tuple[tuple[str, str], ...]
    timestamp_ms: int | None


def packed(outbox: tuple[Record, ...]) -> msgspec.Raw:
    """Return the sizes of an outbox's records as JSON."""
    if not outbox:
        return NO_PARCELS
    return msgspec.Raw(_ENCODER.encode([_parcel(record) for record in outbox]))


def unpacked(parcels: Iterable[Parcel], raw: bytes, at: int) -> tuple[Record, ...]:
    """Return the records whose bytes begin at a place of a table value."""
    rest = _Rest(raw, at)
    return tuple(
        Record(
            parcel.topic,
            rest.take(parcel.key_bytes),
            rest.take(parcel.value_bytes),
            tuple((name, value.encode("latin-1")) for name, value in parcel.headers),
            parcel.timestamp_ms,
        )
        for parcel in parcels
    )


@dataclass(slots=True)
class _Rest:
    """What is left of a table value."""

    raw: bytes
    at: int

    def take(self, size: int) -> bytes | None:
        if size < 0:
            return None
        begin, self.at = self.at, self.at + size
        return self.raw[begin : self.at]


def _parcel(record: Record) -> Parcel:
    key, value = record.key, record.value
    return Parcel(
        record.topic,
        -1 if key is None else len(key),
        -1 if value is None else len(value),
        tuple([(name, text.decode("latin-1")) for name, text in record.headers]),
        record.timestamp_ms,
    )
