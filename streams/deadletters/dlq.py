"""Dead letters: the original record, byte for byte, and why it was given up.

One that is larger than a letter may be is told of without its bytes: a letter that Kafka refuses
would keep its partition waiting for ever. No writer of ours makes such a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.changing import replace
from schemas.topics import DLQ_SUFFIX
from streams.kafka.publish import MAX_RECORD_BYTES, Foreign, Record, filled
from streams.state.parking import EPOCH, PARKING, PREFIX, SEQUENCE

MESSAGE_BYTES: Final = 1024
LARGEST: Final = MAX_RECORD_BYTES * 3 // 4
"""Most bytes of a record that are kept in its letter. The rest is room for our headers, and for
the state that a letter is written with. Kafka's own limit is that of a compressed batch."""
LEFT_OUT: Final = "left_out"
"""Names, behind the prefix, the size of a record that its letter has no room for."""
FIRST: Final = ("original.offset", "original.partition", "original.timestamp", "first_failed_at")
"""What stays as it was when a record comes back and fails again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A record as it was read.

    Attributes:
        topic: Its topic.
        partition: Its partition.
        offset: Its offset.
        timestamp_ms: Its time, Unix milliseconds.
        key: Its key, as read.
        value: Its bytes, as read.
        headers: Its headers, as read.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Foreign = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why a record was given up.

    Attributes:
        reason: Short stable code, such as ``bad_magic``.
        detail: One redacted sentence.
        group: The consumer group that gave it up.
        stage: The stage or sink that gave it up.
        attempts: How often it was tried.
        first_failed_at_ms: When it failed first, Unix milliseconds.
    """

    reason: str
    group: str
    stage: str
    first_failed_at_ms: int
    detail: str = ""
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record waits among those that were set aside with it.

    Attributes:
        parking_id: The parking of its conversation (``streams.state.parking``).
        number: Its number there, from 1.
        epoch: Epoch of the owner that gave the number: one that lost the partition meanwhile
            may have given a number that its successor gave to another record.
    """

    parking_id: str
    number: int
    epoch: int = 0


def dead_letter(original: Original, verdict: Verdict, place: Place | None = None) -> Record:
    """Return the record for the dead letter topic; earlier ``dlq.*`` headers are replaced.

    A record that came back and failed again keeps its first place in the log and the time of
    its first failure, so that it stays the same letter. A header without a value gets an empty one.
    """
    original, left_out = _fitting(original)
    why = f"{left_out} bytes are too many for a letter: the record is where it was read"
    kept = filled(pair for pair in original.headers if not pair[0].startswith(PREFIX))
    told = {
        "original.topic": original.topic,
        "original.partition": original.partition,
        "original.offset": original.offset,
        "original.timestamp": original.timestamp_ms,
        "group": verdict.group,
        "stage": verdict.stage,
        "error.type": verdict.reason,
        "error.message": "; ".join(filter(None, (verdict.detail, why if left_out else ""))),
        "attempts": verdict.attempts,
        "first_failed_at": verdict.first_failed_at_ms,
    }
    added = {PREFIX + name: str(fact).encode()[:MESSAGE_BYTES] for name, fact in told.items()}
    added |= _first(original.headers, parked=place is not None)
    if left_out:
        added[PREFIX + LEFT_OUT] = str(left_out).encode()
    if place is not None:
        numbers = {SEQUENCE: place.number, EPOCH: place.epoch}
        added |= {name: str(number).encode() for name, number in numbers.items()}
        added[PARKING] = place.parking_id.encode()
    return Record(
        original.topic + DLQ_SUFFIX, original.key, original.value, kept + tuple(added.items())
    )


def _fitting(original: Original) -> tuple[Original, int]:
    """Return what a letter has room for, and the size of the record when that is not all."""
    size = _size(original)
    if size <= LARGEST:
        return original, 0
    kept = replace(original, value=original.value and b"")
    if _size(kept) > LARGEST:
        kept = replace(kept, headers=())
    if _size(kept) > LARGEST:
        kept = replace(kept, key=None)
    return kept, size


def _size(original: Original) -> int:
    headers = sum(len(name.encode()) + len(value or b"") for name, value in original.headers)
    return len(original.key or b"") + len(original.value or b"") + headers


def _first(headers: Foreign, *, parked: bool) -> dict[str, bytes]:
    """Return what a record that came back says of its first failure.

    One that had parked nothing and is set aside now begins there: each number has its own letter.
    """
    said = dict(filled(pair for pair in headers if pair[0].startswith(PREFIX)))
    names = [PREFIX + name for name in FIRST]
    if (PARKING if parked else names[0]) not in said:
        return {}
    return {name: said[name] for name in names if name in said}
