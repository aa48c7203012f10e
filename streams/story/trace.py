"""From the records of a conversation to the story of a message: what happened, and why.

Pure: given the records, nothing is asked of the world. Each record names its cause, so the
story is a tree written as a timeline in which every line names the line that it follows from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.events import (
    Event,
    MessageReceived,
    OutboundSettled,
    OutboundUpdated,
    Outcome,
    OutcomeKind,
    Position,
    ResponseGenerated,
    ToolCallRequested,
)
from schemas.topics import SETTINGS_CHANGED, STEP_TAKEN, TOPICS
from sinks.ports import Recorded
from streams.story.asides import aside
from streams.story.bubbles import Bubble, bubbles
from streams.story.concerning import Concern, cause_of, concern, concerned, outcomes
from streams.story.details import Detail
from streams.story.telling import Told, tell

ORDER: Final = {topic.name: place for place, topic in enumerate(TOPICS)}
CONVERSATION_TOPICS: Final = tuple(
    topic.name for topic in TOPICS if topic not in (SETTINGS_CHANGED, STEP_TAKEN)
)
"""Topics that are keyed by conversation and tell something: where a story is read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a story.

    Attributes:
        number: Its place, from 1.
        at_ms: When it happened, Unix milliseconds.
        position: Where it stands in the log.
        because: Number of the line that it follows from, if that is part of the story.
        cause: Where the record is that it follows from, part of the story or not.
        what: What happened, without private words.
        details: Facts about it.
    """

    number: int
    at_ms: int
    position: Position
    because: int | None
    cause: Position | None
    what: str
    details: tuple[Detail, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happened, and why.

    Attributes:
        conversation_id: The conversation.
        tenant_id: The company; empty when nothing is told.
        wamid: The message that was asked for; None is the whole conversation.
        trace_id: The trace that the message began; None for a whole conversation.
        entries: What happened, causes first.
        bubbles: What was sent because of it.
        outcomes: How the messages of the story ended.
    """

    conversation_id: str
    tenant_id: str
    wamid: str | None
    trace_id: str | None
    entries: tuple[Entry, ...]
    bubbles: tuple[Bubble, ...]
    outcomes: tuple[Outcome, ...]


def story(records: Iterable[Recorded], conversation_id: str, wamid: str | None = None) -> Story:
    """Return the story of a message, or of a whole conversation.

    Args:
        records: Records of its topics, in any order; others are left out.
        conversation_id: The conversation.
        wamid: Only what has to do with this message: a customer's, or one of ours and what it
            answers. None is everything.
    """
    own = [record for record in records if record.event.conversation_id == conversation_id]
    about = None if wamid is None else concern(own, wamid)
    chosen = own if about is None else concerned(own, about)
    moments = _moments(chosen)
    told = list(_causes_first(chosen, moments))
    again = _again(own)
    once = [record for record in told if record.position not in again]
    return Story(
        conversation_id=conversation_id,
        tenant_id=told[0].event.tenant_id if told else "",
        wamid=wamid,
        trace_id=_trace(told, about),
        entries=tuple(_entries(told, moments, again)),
        bubbles=bubbles([record for record in once if aside(record) is None], moments),
        outcomes=_final(
            outcome
            for outcome in outcomes([record for record in own if record.position not in again])
            if about is None or outcome.wamid in about.wamids
        ),
    )


def _again(records: Iterable[Recorded]) -> frozenset[Position]:
    """Return where stages said a second time what they had said, after a crash."""
    said: dict[tuple[str, str], Position] = {}
    found: set[Position] = set()
    for record in sorted(records, key=lambda record: record.position.offset):
        if record.event.cause is not None and aside(record) is None:
            first = said.setdefault((record.position.topic, record.event.event_id), record.position)
            found |= {record.position} - {first}
    return frozenset(found)


def _final(found: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """Return how each message ended; being parked is no end of one that came back."""
    every = tuple(found)
    ended = {outcome.wamid for outcome in every if outcome.kind is not OutcomeKind.PARKED}
    return tuple(o for o in every if o.kind is not OutcomeKind.PARKED or o.wamid not in ended)


def _told(record: Recorded) -> tuple[Told, Position | None]:
    """Return a record in words, and where the record is that it follows from."""
    told = tell(record.event)
    if (apart := aside(record)) is None:
        return told, cause_of(record.event)
    return Told(f"{apart.what}: {told.what}", (*apart.details, *told.details)), apart.cause


def _entries(
    records: Iterable[Recorded], moments: Mapping[Position, int], again: Collection[Position]
) -> Iterator[Entry]:
    numbers: dict[Position, int] = {}
    for record in records:
        told, cause = _told(record)
        numbers[record.position] = len(numbers) + 1
        yield Entry(
            number=numbers[record.position],
            at_ms=moments[record.position],
            position=record.position,
            because=numbers.get(cause) if cause else None,
            cause=cause,
            what=f"again: {told.what}" if record.position in again else told.what,
            details=told.details,
        )


def _trace(records: Sequence[Recorded], about: Concern | None) -> str | None:
    """Return the trace that the first message of a story began."""
    for record in records:
        event = record.event
        if about and isinstance(event, MessageReceived) and event.wamid in about.wamids:
            return event.trace_id
    return None


def _causes_first(
    records: Iterable[Recorded], moments: Mapping[Position, int]
) -> Iterator[Recorded]:
    """Yield records by time, but never an effect before its cause: clocks may differ."""

    def when(record: Recorded) -> tuple[int, int, int, int]:
        place = record.position
        order = ORDER.get(place.topic, len(ORDER))
        return moments[place], order, place.partition, place.offset

    waiting = {record.position: record for record in sorted(records, key=when)}
    for position in tuple(waiting):  # who asks for the first one each time passes all that went
        if position not in waiting:
            continue
        chain = [waiting.pop(position)]
        while (cause := _told(chain[-1])[1]) in waiting:
            chain.append(waiting.pop(cause))
        yield from reversed(chain)


def _moments(records: Sequence[Recorded]) -> dict[Position, int]:
    """Return when each record's fact was known; a bubble settles no earlier than it was posted.

    The gate says how a bubble ended in the step that began before the request was written.
    """
    posted: dict[str, int] = {}
    for record in records:
        if isinstance(record.event, OutboundUpdated) and record.event.posted_at is not None:
            known = posted.get(record.event.bubble_id, 0)
            posted[record.event.bubble_id] = max(known, record.event.posted_at)
    return {
        record.position: max(_at(record), posted.get(record.event.bubble_id, 0))
        if isinstance(record.event, OutboundSettled)
        else _at(record)
        for record in records
    }


def _at(record: Recorded) -> int:
    """Return when a record's fact was known, or when it was set aside or came back."""
    apart = aside(record)
    return at_of(record.event) if apart is None else apart.at_ms


def at_of(event: Event) -> int:
    """Return when a record's fact was known: the newest of its times."""
    times = [event.occurred_at]
    if event.cause is not None:
        times.append(event.cause.decided_at)
    if isinstance(event, ResponseGenerated):
        times += [call.answered_at for call in event.calls]
    if isinstance(event, ToolCallRequested) and event.model_call is not None:
        times.append(event.model_call.answered_at)
    if isinstance(event, OutboundUpdated) and event.posted_at is not None:
        times.append(event.posted_at)
    return max(times)
