"""From the records of a conversation to the story of a message: what happened, and why.

Pure: given the records, nothing is asked of the world. Each record names its cause, so the
story is a tree written as a timeline in which every line names the line that it follows from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from schemas.events import (
    ConversationChanged,
    Event,
    HandoffRequested,
    MessageReceived,
    Outcome,
    Position,
    ResponseGenerated,
    StatusReceived,
    ToolCallRequested,
)
from schemas.topics import SETTINGS_CHANGED, TOPICS
from sinks.ports import Recorded
from streams.telling import Detail, tell

ORDER: Final = {topic.name: place for place, topic in enumerate(TOPICS)}
CONVERSATION_TOPICS: Final = tuple(t.name for t in TOPICS if t is not SETTINGS_CHANGED)
"""Topics that are keyed by conversation: where a story is read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a story.

    Attributes:
        number: Its place, from 1.
        at_ms: When it happened, Unix milliseconds.
        position: Where it stands in the log.
        because: Number of the line that it follows from, if that is part of the story.
        what: What happened, without private words.
        details: Facts about it.
    """

    number: int
    at_ms: int
    position: Position
    because: int | None
    what: str
    details: tuple[Detail, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happened, and why.

    Attributes:
        conversation_id: The conversation.
        wamid: The message that was asked for; None is the whole conversation.
        entries: What happened, causes first.
        outcomes: How the message ended, or every message of the conversation.
    """

    conversation_id: str
    wamid: str | None
    entries: tuple[Entry, ...]
    outcomes: tuple[Outcome, ...]


def story(records: Iterable[Recorded], conversation_id: str, wamid: str | None = None) -> Story:
    """Return the story of a message, or of a whole conversation.

    Args:
        records: Records of its topics, in any order; others are left out.
        conversation_id: The conversation.
        wamid: Only what has to do with this message; None is everything.
    """
    own = [record for record in records if record.event.conversation_id == conversation_id]
    chosen = own if wamid is None else list(_about(own, wamid))
    numbers: dict[Position, int] = {}
    entries = []
    for record in _causes_first(chosen):
        told = tell(record.event)
        cause = cause_of(record.event)
        numbers[record.position] = len(numbers) + 1
        entries.append(
            Entry(
                number=numbers[record.position],
                at_ms=at_of(record.event),
                position=record.position,
                because=numbers.get(cause) if cause else None,
                what=told.what,
                details=told.details,
            )
        )
    return Story(
        conversation_id=conversation_id,
        wamid=wamid,
        entries=tuple(entries),
        outcomes=tuple(outcome for outcome in _outcomes(own) if wamid in (None, outcome.wamid)),
    )


def _outcomes(records: Sequence[Recorded]) -> Iterator[Outcome]:
    for record in records:
        if isinstance(record.event, ConversationChanged):
            yield from record.event.outcomes


def _about(records: Sequence[Recorded], wamid: str) -> Iterator[Recorded]:
    """Yield what has to do with a message: its turns, their effects, and what led to them."""
    by_position = {record.position: record for record in records}
    turns = _turns(records, wamid)
    reached: dict[Position, Recorded] = {}
    while True:
        new = [
            record
            for record in records
            if record.position not in reached and _belongs(record.event, wamid, turns, reached)
        ]
        if not new:
            break
        reached |= {record.position: record for record in new}
    bubbles = {getattr(record.event, "bubble_id", None) for record in reached.values()} - {None}
    for record in records:
        if isinstance(record.event, StatusReceived) and record.event.bubble_id in bubbles:
            reached[record.position] = record
    for record in list(reached.values()):
        _add_causes(record, by_position, reached)
    yield from reached.values()


def _turns(records: Sequence[Recorded], wamid: str) -> set[str]:
    """Return the turns that covered a message."""
    turns = {
        record.event.turn_id
        for record in records
        if isinstance(record.event, HandoffRequested) and wamid in record.event.wamids
    }
    named = {outcome.turn_id for outcome in _outcomes(records) if outcome.wamid == wamid}
    return turns | {turn for turn in named if turn is not None}


def _belongs(event: Event, wamid: str, turns: set[str], reached: dict[Position, Recorded]) -> bool:
    """Say whether a record is the message, of its turns, or follows from what is."""
    if isinstance(event, MessageReceived):
        return event.wamid == wamid
    turn_id = getattr(event, "turn_id", None)
    if turn_id in turns:
        return True
    if isinstance(event, ConversationChanged):
        if any(outcome.wamid == wamid for outcome in event.outcomes):
            return True
        return _follows(event, reached, messages_only=turn_id is not None)
    return turn_id is None and _follows(event, reached)


def _follows(
    event: Event, reached: dict[Position, Recorded], *, messages_only: bool = False
) -> bool:
    cause = cause_of(event)
    source = reached.get(cause) if cause else None
    return source is not None and (not messages_only or isinstance(source.event, MessageReceived))


def _add_causes(
    record: Recorded, every: dict[Position, Recorded], reached: dict[Position, Recorded]
) -> None:
    """Add what led to a record; nothing else that followed from that."""
    while cause := cause_of(record.event):
        if cause in reached or cause not in every:
            return
        record = every[cause]
        reached[cause] = record


def _causes_first(records: Iterable[Recorded]) -> Iterator[Recorded]:
    """Yield records by time, but never an effect before its cause: clocks may differ."""
    waiting = {record.position: record for record in sorted(records, key=_when)}
    while waiting:
        position = next(iter(waiting))
        chain = [waiting.pop(position)]
        while (cause := cause_of(chain[-1].event)) in waiting:
            chain.append(waiting.pop(cause))
        yield from reversed(chain)


def _when(record: Recorded) -> tuple[int, int, int, int]:
    place = record.position
    return at_of(record.event), ORDER.get(place.topic, len(ORDER)), place.partition, place.offset


def cause_of(event: Event) -> Position | None:
    """Return the record that made a stage say this, if a stage did."""
    cause = event.cause
    if cause is None:
        return None
    return Position(topic=cause.topic, partition=cause.partition, offset=cause.offset)


def at_of(event: Event) -> int:
    """Return when a record's fact was known: the newest of its times."""
    times = [event.occurred_at]
    if event.cause is not None:
        times.append(event.cause.decided_at)
    if isinstance(event, ResponseGenerated):
        times += [call.answered_at for call in event.calls]
    if isinstance(event, ToolCallRequested) and event.model_call is not None:
        times.append(event.model_call.answered_at)
    return max(times)


def where(position: Position) -> str:
    """Return a position as Kafka's tools are asked for it: ``topic[partition]@offset``."""
    return f"{position.topic}[{position.partition}]@{position.offset}"


def clock(at_ms: int) -> str:
    """Return the time of day, UTC, with milliseconds."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds")[11:23]


def lines(told: Story, *, show_text: bool = False) -> Iterator[str]:
    """Yield a story as lines for a person."""
    yield f"conversation {told.conversation_id}" + (f"  message {told.wamid}" if told.wamid else "")
    began = told.entries[0].at_ms if told.entries else 0
    for entry in told.entries:
        because = f"  (from {entry.because})" if entry.because else ""
        yield (
            f"{entry.number:>3}  {clock(entry.at_ms)}  +{entry.at_ms - began} ms"
            f"  {entry.what}{because}  {where(entry.position)}"
        )
        for detail in entry.details:
            yield f"         {detail.name}: {detail.shown(show_text=show_text)}"
    for outcome in told.outcomes:
        turn = f", turn {outcome.turn_id}" if outcome.turn_id else ""
        yield f"outcome of {outcome.wamid}: {outcome.kind} ({outcome.reason}{turn})"
    if told.wamid and not told.outcomes:
        yield f"outcome of {told.wamid}: none yet"


def plain(told: Story, *, show_text: bool = False) -> dict[str, Any]:
    """Return a story as plain data."""
    return {
        "conversation_id": told.conversation_id,
        "wamid": told.wamid,
        "entries": [_plain_entry(entry, show_text=show_text) for entry in told.entries],
        "outcomes": [
            {"wamid": o.wamid, "kind": str(o.kind), "reason": o.reason, "turn_id": o.turn_id}
            for o in told.outcomes
        ],
    }


def _plain_entry(entry: Entry, *, show_text: bool) -> dict[str, Any]:
    return {
        "number": entry.number,
        "at_ms": entry.at_ms,
        "topic": entry.position.topic,
        "partition": entry.position.partition,
        "offset": entry.position.offset,
        "because": entry.because,
        "what": entry.what,
        "details": [[each.name, each.shown(show_text=show_text)] for each in entry.details],
    }
