"""Dead letters: the original record, byte for byte, and why it was given up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.topics import DLQ_SUFFIX
from streams.publish import Headers, Record

PREFIX: Final = "dlq."
MESSAGE_BYTES: Final = 1024


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
    headers: Headers = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why a record was given up.

    Attributes:
        reason: Short stable code, such as ``bad_magic``.
        detail: One redacted sentence.
        group: The consumer group that gave it up.
        attempts: How often it was tried.
        first_failed_at_ms: When it failed first, Unix milliseconds.
    """

    reason: str
    group: str
    first_failed_at_ms: int
    detail: str = ""
    attempts: int = 1


def dead_letter(original: Original, verdict: Verdict) -> Record:
    """Return the record for the dead letter topic; earlier ``dlq.*`` headers are replaced."""
    kept = tuple(pair for pair in original.headers if not pair[0].startswith(PREFIX))
    told = {
        "original.topic": original.topic,
        "original.partition": original.partition,
        "original.offset": original.offset,
        "original.timestamp": original.timestamp_ms,
        "group": verdict.group,
        "error.type": verdict.reason,
        "error.message": verdict.detail,
        "attempts": verdict.attempts,
        "first_failed_at": verdict.first_failed_at_ms,
    }
    added = tuple(
        (PREFIX + name, str(fact).encode()[:MESSAGE_BYTES]) for name, fact in told.items()
    )
    return Record(original.topic + DLQ_SUFFIX, original.key, original.value, kept + added)
