"""What a table keeps of one conversation: its state, what is applied to it, and its outbox.

A value is one line of bookkeeping (the head), the state as JSON, then the raw keys and values
of the outbox. The head is enough to skip a redelivered event or to arm a timer, so recovery
and skipping never read the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from zlib import crc32

import msgspec

from streams.kafka.publish import Record
from streams.state.parcels import NO_PARCELS, Parcel, packed, unpacked
from streams.state.parking import Parking

FORMAT: Final = 1
STATE_BYTES: Final = 256 << 10
"""Hard limit of a state; over it the event is parked and the state stays as it was."""

UNMARKED: Final = -1
"""Stands for the checksum of an event that was applied before there were any."""

Early = tuple[tuple[str, int, int], ...]
"""Name and due time of timers in a state, and when each is due by a right clock, where that is
before: the worker that armed them had a clock that was ahead."""


class Unreadable(ValueError):
    """The bytes are no value of a table."""


class Head(msgspec.Struct, array_like=True, frozen=True):
    """The first line of a table value.

    Attributes:
        version: Format of the value.
        applied: Per input topic, the offset of the last event applied.
        source: Topic and offset of the event that the outbox belongs to.
        epoch: Epoch of the owner that wrote it; grows with each assignment of the partition.
        due_ms: When the next timer of the conversation is due, Unix milliseconds.
        state_bytes: Size of the state; 0 is none.
        outbox: Sizes of the records to publish, as JSON: most are never looked at, and a dozen
            small objects for each conversation cost more to free than to read.
        parked: The flag of a parked conversation, or None.
        marks: Checksum of the last event applied, in the order of ``applied``.
        at_ms: When it was written, Unix milliseconds; 0 is not known.
        away: Mark of the value that is kept elsewhere (``streams.processor.resting``); None: it is
            here.
        early: Timers that are due before the state says so (``streams.processor.corrections``).
    """

    version: int
    applied: dict[str, int]
    source: tuple[str, int]
    epoch: int
    due_ms: int | None
    state_bytes: int
    outbox: msgspec.Raw = NO_PARCELS
    parked: Parking | None = None
    marks: tuple[int, ...] = ()
    at_ms: int = 0
    away: int | None = None
    early: Early = ()

    @classmethod
    def of(cls, raw: bytes) -> Head:
        """Read only the first line of a table value.

        Raises:
            Unreadable: It is none.
        """
        try:
            head = _HEAD.decode(raw[: raw.index(b"\n")])
        except ValueError as exc:  # msgspec's errors are ValueErrors
            raise Unreadable("no table value") from exc
        if head.version != FORMAT:
            raise Unreadable(f"table value of format {head.version}")
        return head

    @property
    def sends(self) -> bool:
        """Whether there is anything to publish."""
        return self.outbox != NO_PARCELS

    def parcels(self) -> tuple[Parcel, ...]:
        """Return the sizes of the records to publish.

        Raises:
            Unreadable: They are none.
        """
        try:
            return _PARCELS.decode(self.outbox)
        except msgspec.MsgspecError as exc:
            raise Unreadable("no outbox of a table value") from exc

    def covers(self, topic: str, offset: int) -> bool:
        """Tell whether the event at this offset is already part of the state."""
        return self.applied.get(topic, -1) >= offset

    def belongs(self, topic: str, offset: int) -> bool:
        """Tell whether the outbox is the one of the event at this offset."""
        return self.source == (topic, offset)


_HEAD: Final = msgspec.json.Decoder(Head)
_PARCELS: Final = msgspec.json.Decoder(tuple[Parcel, ...])
_ENCODER: Final = msgspec.json.Encoder()


class Entry(msgspec.Struct, frozen=True):
    """Table value of one conversation.

    Attributes:
        state: The state as JSON; empty is none.
        applied: Per input topic, the offset of the last event applied.
        source: Topic and offset of the event that the outbox belongs to.
        outbox: What that event caused.
        epoch: Epoch of the owner that wrote it.
        due_ms: When the next timer is due.
        parked: The flag of a parked conversation, or None.
        marks: Checksum of the last event applied, in the order of ``applied``.
        at_ms: When it was written, Unix milliseconds; 0 is not known.
        away: Mark of the value that is kept elsewhere; None: it is here.
        early: Timers that are due before the state says so.
    """

    state: bytes
    applied: Mapping[str, int]
    source: tuple[str, int] = ("", -1)
    outbox: tuple[Record, ...] = ()
    epoch: int = 0
    due_ms: int | None = None
    parked: Parking | None = None
    marks: tuple[int, ...] = ()
    at_ms: int = 0
    away: int | None = None
    early: Early = ()

    def dumps(self) -> bytes:
        """Encode as one line of bookkeeping, the state, and the raw outbox."""
        return self.kept().raw

    def kept(self) -> Kept:
        """Return it as it is kept, encoded."""
        head = Head(
            FORMAT,
            dict(self.applied),
            self.source,
            self.epoch,
            self.due_ms,
            len(self.state),
            packed(self.outbox),
            self.parked,
            self.marks,
            self.at_ms,
            self.away,
            self.early,
        )
        line = _ENCODER.encode(head)
        parts = [line, b"\n", self.state]
        for record in self.outbox:
            parts += [record.key or b"", record.value or b""]
        return Kept(head, b"".join(parts), len(line) + 1)

    @classmethod
    def loads(cls, raw: bytes) -> Entry:
        """Decode all of it.

        Raises:
            Unreadable: It is no table value, or it was cut.
        """
        kept = Kept.of(raw)
        head = kept.head
        return cls(
            kept.state,
            head.applied,
            head.source,
            kept.outbox(),
            head.epoch,
            head.due_ms,
            head.parked,
            head.marks,
            head.at_ms,
            head.away,
            head.early,
        )


class Kept:
    """A table value: its state and its outbox are taken out only where they are looked at.

    Attributes:
        head: Its first line.
        raw: All of it.
    """

    __slots__ = ("_begin", "head", "raw")

    def __init__(self, head: Head, raw: bytes, begin: int) -> None:
        self.head = head
        self.raw = raw
        self._begin = begin

    @classmethod
    def of(cls, raw: bytes) -> Kept:
        """Read the first line.

        Raises:
            Unreadable: It is no table value, or it was cut.
        """
        head = Head.of(raw)
        begin = raw.index(b"\n") + 1
        end = begin + head.state_bytes
        for parcel in head.parcels():
            end += max(parcel.key_bytes, 0) + max(parcel.value_bytes, 0)
        if end != len(raw):
            raise Unreadable("table value with another length than it says")
        return cls(head, raw, begin)

    @property
    def state(self) -> bytes:
        """The state as JSON; empty is none."""
        return self.raw[self._begin : self._begin + self.head.state_bytes]

    def outbox(self) -> tuple[Record, ...]:
        """Return what the event of the head caused."""
        return unpacked(self.head.parcels(), self.raw, self._begin + self.head.state_bytes)


def checksum_of(value: bytes | None) -> int:
    """Return the mark by which a record of a log is told from another one at its offset."""
    return crc32(value or b"")


def applying(
    head: Head | None, topic: str, offset: int, mark: int
) -> tuple[dict[str, int], tuple[int, ...]]:
    """Return ``applied`` and ``marks`` after one more event."""
    before = {} if head is None else head.applied
    applied = {**before, topic: offset}
    if len(applied) == 1:
        return applied, (mark,)
    marks = {**dict(zip(before, head.marks if head else (), strict=False)), topic: mark}
    return applied, tuple([marks.get(name, UNMARKED) for name in applied])


def next_due(timers: Mapping[str, Any]) -> int | None:
    """Return the earliest due time of a state's timers."""
    return min(timers.values()) if timers else None
