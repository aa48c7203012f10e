"""Which records of a conversation have to do with one message. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.events import (
    ConversationChanged,
    Event,
    HandoffRequested,
    HumanReplied,
    MessageReceived,
    OutboundUpdated,
    Outcome,
    Position,
)
from sinks.ports import Recorded

Reached = dict[Position, Recorded]
SAID: Final = (MessageReceived, HumanReplied)
"""What a customer said, or a person; only what was written in the phone app has a wamid here."""


@dataclass(frozen=True, slots=True)
class Concern:
    """What a story is about.

    Attributes:
        wamids: The customer's message, or a person's from the phone app; of a message of ours,
            those that it answers.
        bubble_ids: The bubble that became that message of ours.
        turns: The turns that covered them.
    """

    wamids: frozenset[str]
    bubble_ids: frozenset[str]
    turns: frozenset[str]


def concern(records: Sequence[Recorded], wamid: str) -> Concern:
    """Return what a story about a message is about, the customer's or ours."""
    bubble_ids = frozenset(
        record.event.bubble_id
        for record in records
        if isinstance(record.event, OutboundUpdated) and record.event.wamid == wamid
    )
    wamids = _answered(records, bubble_ids) or frozenset({wamid})
    return Concern(wamids, bubble_ids, _turns(records, wamids))


def _answered(records: Sequence[Recorded], bubble_ids: frozenset[str]) -> frozenset[str]:
    """Return the customer's messages that led to bubbles."""
    reached = _with_causes(
        {record.position: record for record in records if _bubble_of(record) in bubble_ids},
        records,
    )
    events = [record.event for record in reached.values()]
    turns = {getattr(event, "turn_id", None) for event in events}
    covered = {
        wamid
        for record in records
        if isinstance(record.event, HandoffRequested) and record.event.turn_id in turns
        for wamid in record.event.wamids
    }
    return frozenset(covered | {e.wamid for e in events if isinstance(e, MessageReceived)})


def _turns(records: Sequence[Recorded], wamids: frozenset[str]) -> frozenset[str]:
    """Return the turns that covered a message."""
    turns = {
        record.event.turn_id
        for record in records
        if isinstance(record.event, HandoffRequested) and not wamids.isdisjoint(record.event.wamids)
    }
    named = {outcome.turn_id for outcome in outcomes(records) if outcome.wamid in wamids}
    return frozenset(turns | {turn for turn in named if turn is not None})


def outcomes(records: Sequence[Recorded]) -> Iterator[Outcome]:
    """Yield how messages ended."""
    for record in records:
        if isinstance(record.event, ConversationChanged):
            yield from record.event.outcomes


def concerned(records: Sequence[Recorded], about: Concern) -> list[Recorded]:
    """Return messages, their turns, their bubbles, what followed, and what led to it."""
    reached: Reached = {}
    bubble_ids = set(about.bubble_ids)
    while True:
        new = {
            record.position: record
            for record in records
            if record.position not in reached
            and (_bubble_of(record) in bubble_ids or _belongs(record.event, about, reached))
        }
        if not new:
            return list(_with_causes(reached, records).values())
        reached |= new
        bubble_ids |= {bubble for record in new.values() if (bubble := _bubble_of(record))}


def _bubble_of(record: Recorded) -> str | None:
    bubble_id: str | None = getattr(record.event, "bubble_id", None)
    return bubble_id


def _belongs(event: Event, about: Concern, reached: Mapping[Position, Recorded]) -> bool:
    """Say whether a record is a message, of its turns, or follows from what is."""
    if isinstance(event, SAID):
        return event.wamid in about.wamids
    turn_id = getattr(event, "turn_id", None)
    if turn_id in about.turns:
        return True
    if isinstance(event, ConversationChanged):
        if any(outcome.wamid in about.wamids for outcome in event.outcomes):
            return True
        return _follows(event, reached, messages_only=turn_id is not None)
    return turn_id is None and _follows(event, reached)


def _follows(
    event: Event, reached: Mapping[Position, Recorded], *, messages_only: bool = False
) -> bool:
    cause = cause_of(event)
    source = reached.get(cause) if cause else None
    return source is not None and (not messages_only or isinstance(source.event, SAID))


def _with_causes(reached: Reached, records: Sequence[Recorded]) -> Reached:
    """Return records with what led to them; nothing else that followed from that."""
    every = {record.position: record for record in records}
    whole = dict(reached)
    for record in reached.values():
        cause = cause_of(record.event)
        while cause in every and cause not in whole:
            whole[cause] = every[cause]
            cause = cause_of(every[cause].event)
    return whole


def cause_of(event: Event) -> Position | None:
    """Return the record that made a stage say this, if a stage did."""
    cause = event.cause
    if cause is None:
        return None
    return Position(topic=cause.topic, partition=cause.partition, offset=cause.offset)
