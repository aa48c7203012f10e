"""What happened, indexed: what was sent, what the log says, what the simulator accepted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from schemas.events import (
    ControlRequested,
    ConversationChanged,
    HandoffRequested,
    HumanReplied,
    MessageReceived,
    OutboundKind,
    OutboundRequested,
    OutboundSettled,
    Outcome,
    OutcomeKind,
    TurnKind,
)
from sinks.ports import Recorded

Place = tuple[str, int, int]
"""Topic, partition and offset."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that our webhook answered with 200.

    Attributes:
        customer: Who sent it.
        sequence: Place among this customer's messages, as they were sent.
        wamid: WhatsApp's id of it.
        expects: How it may end.
    """

    customer: str
    sequence: int
    wamid: str
    expects: frozenset[OutcomeKind]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A bubble that the simulator accepted.

    Attributes:
        number: Place in the simulator's order.
        conversation_id: The conversation that its callback data names.
        bubble_id: Our id of it.
        wamid: WhatsApp's id of it.
    """

    number: int
    conversation_id: str
    bubble_id: str
    wamid: str


@dataclass(slots=True)
class History:
    """Everything that is known of the messages of one load.

    Attributes:
        sent: Messages, once each, in the order of sending.
        received: Records of each message, by wamid.
        outcomes: Outcomes of each message, by wamid.
        steps: Dispatch's steps, by conversation, in the order of the log.
        turns: Turns, by id.
        requested: Bubbles that dispatch asked for, by id, in the order of the log.
        settled: How each bubble ended, by id.
        markers: Markers that dispatch asked for, by id.
        applied: Ids of markers, each time that the gate said that it applied one.
        accepted: What the simulator accepted, in its order.
        asked: Where the log has what people asked for.
        decided: Where the log has what dispatch has decided.
    """

    sent: list[Sent]
    accepted: list[Accepted]
    asked: set[Place] = field(default_factory=set)
    decided: set[Place] = field(default_factory=set)
    received: dict[str, list[Recorded]] = field(default_factory=dict)
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    steps: dict[str, list[ConversationChanged]] = field(default_factory=dict)
    turns: dict[str, HandoffRequested] = field(default_factory=dict)
    requested: dict[str, OutboundRequested] = field(default_factory=dict)
    settled: dict[str, list[OutboundSettled]] = field(default_factory=dict)
    markers: dict[str, OutboundRequested] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)

    def conversation(self, wamid: str) -> str:
        """Return the conversation of a message; empty when it is not on the log."""
        records = self.received.get(wamid)
        return records[0].event.conversation_id if records else ""


def history(
    sent: Iterable[Sent], records: Iterable[Recorded], accepted: Iterable[Accepted]
) -> History:
    """Index what happened; records of other conversations are left out.

    A message that was sent again counts once, at its first place; so does an event that was
    published again, as a worker does after a crash: its id tells that it is the same.
    """
    once = {message.wamid: message for message in sent}
    first = sorted(once.values(), key=lambda message: (message.customer, message.sequence))
    ordered = sorted(
        records, key=lambda r: (r.position.topic, r.position.partition, r.position.offset)
    )
    ours = {
        record.event.conversation_id
        for record in ordered
        if isinstance(record.event, MessageReceived) and record.event.wamid in once
    }
    known = History(first, [each for each in accepted if each.conversation_id in ours])
    seen: set[str] = set()
    for record in ordered:
        if record.event.conversation_id in ours and record.event.event_id not in seen:
            seen.add(record.event.event_id)
            _add(known, record)
    return known


def _add(known: History, record: Recorded) -> None:
    event = record.event
    match event:
        case MessageReceived():
            known.received.setdefault(event.wamid, []).append(record)
        case ConversationChanged():
            _decide(known, record, event)
        case ControlRequested() | HumanReplied():
            known.asked.add(place_of(record))
        case HandoffRequested(kind=TurnKind.START):
            known.turns[event.turn_id] = event
        case OutboundRequested():
            _ask(known, event)
        case OutboundSettled(kind=OutboundKind.MESSAGE):
            known.settled.setdefault(event.bubble_id, []).append(event)
        case OutboundSettled(kind=OutboundKind.MARKER):
            known.applied.append(event.bubble_id)
        case _:
            pass


def _decide(known: History, record: Recorded, event: ConversationChanged) -> None:
    known.steps.setdefault(event.conversation_id, []).append(event)
    if (cause := cause_of(record)) is not None:
        known.decided.add(cause)
    for outcome in event.outcomes:
        known.outcomes.setdefault(outcome.wamid, []).append(outcome)


def _ask(known: History, event: OutboundRequested) -> None:
    if event.kind is OutboundKind.MESSAGE:
        known.requested[event.bubble_id] = event
    elif event.kind is OutboundKind.MARKER:
        known.markers[event.bubble_id] = event


def unfinished(known: History, wamids: Sequence[str]) -> int:
    """Return how many messages lack an outcome, plus bubbles and markers without their end.

    What people asked for, and dispatch has not decided, counts too.
    """
    open_messages = sum(wamid not in known.outcomes for wamid in wamids)
    open_bubbles = known.requested.keys() - known.settled.keys()
    open_markers = known.markers.keys() - set(known.applied)
    return open_messages + len(open_bubbles) + len(open_markers) + len(known.asked - known.decided)


def place_of(record: Recorded) -> Place:
    """Return where a record is."""
    where = record.position
    return where.topic, where.partition, where.offset


def cause_of(record: Recorded) -> Place | None:
    """Return which record made a stage say this."""
    cause = record.event.cause
    return None if cause is None else (cause.topic, cause.partition, cause.offset)
