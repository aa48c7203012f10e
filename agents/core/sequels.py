"""Envelopes of what one event causes: ids that follow from it, and the cause written down."""

from __future__ import annotations

from collections import Counter
from copy import copy
from typing import Any

from schemas.events import Cause, Envelope, Position
from schemas.ids import derived
from schemas.topics import Topic


def caused_by(source: Position, *, seq: int, now_ms: int, settings_version: int = 0) -> Cause:
    """Return the cause of what a stage says of a record.

    Args:
        source: The record.
        seq: Number of the step in this conversation at this stage.
        now_ms: Time of the decision.
        settings_version: Version of the tenant's settings in use; 0 is none.
    """
    return Cause(
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        seq=seq,
        decided_at=now_ms,
        settings_version=settings_version,
    )


class Sequels:
    """Makes the envelopes of the records that one decision says.

    Ids follow from the event, the step's number and the record's place, so deciding the
    same event again gives the same ids, and a repeated event (same id, another offset,
    another step) never takes the id of something that was said before.

    Attributes:
        event: What is being decided.
        cause: Which step of the stage decides it.
        trace_id: The trace that the records belong to.
        said: How many records were made for each topic.
    """

    def __init__(self, event: Envelope, cause: Cause, *, trace_id: str = "") -> None:
        self.event = event
        self.cause = cause
        self.trace_id = trace_id or event.trace_id
        self.said: Counter[str] = Counter()

    def copy(self) -> Sequels:
        """Return sequels that go on from here without changing these."""
        other = copy(self)
        other.said = self.said.copy()
        return other

    def envelope(self, topic: Topic, idempotency_key: str, *, trace_id: str = "") -> dict[str, Any]:
        """Return the envelope's fields of the next record for this topic."""
        place = self.said[topic.name]
        self.said[topic.name] += 1
        return {
            "event": topic.name,
            "event_id": derived(self.event.event_id, topic.name, self.cause.seq, place),
            "trace_id": trace_id or self.trace_id,
            "tenant_id": self.event.tenant_id,
            "conversation_id": self.event.conversation_id,
            "customer_id": self.event.customer_id,
            "idempotency_key": idempotency_key,
            "occurred_at": self.cause.decided_at,
            "cause": self.cause,
        }
