"""Promise I6 seen from outside: a committed offset never passes an event that is not finished.

An offset that is committed at some moment is judged by what the topics said just after it:
every event below it must have had its consequences by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from schemas.events import (
    HandoffRequested,
    OutboundKind,
    OutboundRequested,
    OutboundUpdated,
    ResponseGenerated,
    ToolCallCompleted,
    ToolCallRequested,
    TurnKind,
)
from schemas.topics import CONVERSATION_CHANGED, OUTBOUND_SETTLED, TOPICS
from sinks.ports import Recorded
from streams.local.chaos.story import Story
from streams.local.load.history import cause_of, place_of

HUMAN: Final = "human"
DISPATCHED: Final = frozenset(topic.name for topic in TOPICS if "dispatch" in topic.readers)


def passed_holes(told: Story) -> Iterator[tuple[str, str]]:
    """Yield each event that a commit passed before it was finished."""
    finished = _finished(told)
    for moment in told.committed:
        offsets = {(topic, partition): offset for topic, partition, offset in moment.offsets}
        ends = {(topic, partition): end for topic, partition, end in moment.ends}
        for record in told.records:
            topic, partition, offset = place_of(record)
            if offset >= offsets.get((topic, partition), 0):
                continue
            want = _wanted(record)
            if want and not any(_before(each, ends) for each in finished.get(want, ())):
                yield f"{topic}:{partition}:{offset}", f"committed, without {want[0]}"


def _before(record: Recorded, ends: dict[tuple[str, int], int]) -> bool:
    topic, partition, offset = place_of(record)
    return offset < ends.get((topic, partition), 0)


Wanted = tuple[str, object]
"""What must be there once an event is finished: which kind, and of what."""


def _wanted(record: Recorded) -> Wanted | None:
    """Return what must follow from an event of a stage, or None."""
    if record.position.topic in DISPATCHED:
        return "a step of dispatch", place_of(record)
    match record.event:
        case OutboundRequested(kind=OutboundKind.MARKER, bubble_id=marker_id):
            return "the marker's end", marker_id
        case OutboundRequested(kind=OutboundKind.MESSAGE, bubble_id=bubble_id):
            return "a state of the bubble", bubble_id
        case HandoffRequested(kind=TurnKind.START, to_agent=agent, turn_id=turn_id):
            return None if agent == HUMAN else ("a sequel of the turn", turn_id)
        case ToolCallRequested(call_id=call_id):
            return "the tool's result", call_id
        case _:
            return None


def _finished(told: Story) -> dict[Wanted, list[Recorded]]:
    found: dict[Wanted, list[Recorded]] = {}
    for record in told.records:
        for name, evidence in _EVIDENCE:
            about = evidence(record)
            if about is not None:
                found.setdefault((name, about), []).append(record)
    return found


def _step(record: Recorded) -> object | None:
    return cause_of(record) if record.position.topic == CONVERSATION_CHANGED.name else None


def _marker(record: Recorded) -> object | None:
    told = record.position.topic == OUTBOUND_SETTLED.name
    return getattr(record.event, "bubble_id", None) if told else None


def _bubble(record: Recorded) -> object | None:
    return record.event.bubble_id if isinstance(record.event, OutboundUpdated) else None


def _turn(record: Recorded) -> object | None:
    event = record.event
    return event.turn_id if isinstance(event, ResponseGenerated | ToolCallRequested) else None


def _result(record: Recorded) -> object | None:
    return record.event.call_id if isinstance(record.event, ToolCallCompleted) else None


_EVIDENCE: Final[tuple[tuple[str, Callable[[Recorded], object | None]], ...]] = (
    ("a step of dispatch", _step),
    ("the marker's end", _marker),
    ("a state of the bubble", _bubble),
    ("a sequel of the turn", _turn),
    ("the tool's result", _result),
)
