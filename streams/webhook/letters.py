"""What the webhook was given and cannot put into a conversation: dead letters.

The value is a webhook body that holds the part alone, so it can be posted again; a part
that is too large for a record is stored outside the log, and the value names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

from schemas.ids import derived
from schemas.topics import MESSAGE_RECEIVED
from sinks.rawparts import REFERENCE_BYTES, name_of
from streams.deadletters.dlq import Original, Verdict, dead_letter
from streams.kafka.publish import Record

GROUP: Final = "whaticket.webhook"

DETAILS: Final = {
    "group_message": "written in a group, which is no customer's conversation",
    "history_echo": "an old message of the company, sent along with the history",
    "no_conversation": "belongs to no conversation",
    "no_person": "names no customer",
    "not_json": "signed, but not JSON",
    "record_refused": "does not fit its schema",
    "too_deep": "nested deeper than any body of WhatsApp",
    "too_large": "larger than a record may be",
    "too_many_parts": "holds more updates than any body of WhatsApp",
    "unexpected": "could not be read; see the log",
    "unknown_channel": "the business number belongs to no tenant under this app",
    "unknown_shape": "of a shape that WhatsApp does not document",
}
"""Every reason, and one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A part that belongs to no conversation.

    Attributes:
        reason: One of ``DETAILS``.
        body: What was received.
    """

    reason: str
    body: bytes

    @property
    def large(self) -> bool:
        """True when the body must be stored outside the log."""
        return len(self.body) > REFERENCE_BYTES


def record_of_letter(letter: Letter, *, app_id: str, now_ms: int) -> Record:
    """Return the dead letter; a repetition has the same ``ce_id``."""
    sha256 = name_of(letter.body)
    named = {"raw_ref": sha256, "bytes": len(letter.body)}
    original = Original(
        topic=MESSAGE_RECEIVED.name,
        partition=-1,
        offset=-1,
        timestamp_ms=now_ms,
        key=None,
        value=orjson.dumps(named) if letter.large else letter.body,
        headers=(
            ("ce_id", derived("letter", letter.reason, sha256).encode()),
            ("content-type", b"application/json"),
            ("whaticket.app_id", app_id.encode()),
            ("whaticket.by_reference", b"true" if letter.large else b"false"),
        ),
    )
    verdict = Verdict(
        reason=letter.reason,
        group=GROUP,
        stage="webhook",
        first_failed_at_ms=now_ms,
        detail=DETAILS[letter.reason],
    )
    return dead_letter(original, verdict)
