"""How quick it was: throughput, and the overhead of the platform without model and burst. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from schemas.events import (
    ConversationChanged,
    HandoffRequested,
    MessageReceived,
    ModelCall,
    OutboundRequested,
    OutboundUpdated,
    Position,
    ResponseGenerated,
    TimerFired,
    ToolCallRequested,
    TurnKind,
)
from sinks.ports import Recorded

PERCENTILES: Final = (50, 95, 99)

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Overheads:
    """Milliseconds of each turn that could be measured.

    Attributes:
        arriving: Webhook received to model request sent, without the burst window.
        leaving: Model answer to the first WhatsApp request of the answer.
    """

    arriving: tuple[int, ...]
    leaving: tuple[int, ...]

    @property
    def whole(self) -> tuple[int, ...]:
        """Both of each turn; turns that lack one are left out."""
        return tuple(a + b for a, b in zip(self.arriving, self.leaving, strict=False))


@dataclass(slots=True)
class _Turn:
    """What is known of one turn."""

    started: HandoffRequested
    first_call: ModelCall | None = None
    last_call: ModelCall | None = None
    posted_at: int | None = None


def overheads(records: Iterable[Recorded]) -> Overheads:
    """Return the overhead of every turn that called the model and posted an answer."""
    every = list(records)
    turns = _turns(every)
    _model_calls(every, turns)
    _posts(every, turns)
    messages = {r.event.wamid: r for r in every if isinstance(r.event, MessageReceived)}
    positions = {record.position: record for record in every}
    decided = _decided(every)
    pairs = []
    for turn in turns.values():
        arriving = _arriving(turn, messages, positions, decided)
        leaving = _leaving(turn)
        if arriving is not None and leaving is not None:
            pairs.append((arriving, leaving))
    return Overheads(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


def _turns(records: Iterable[Recorded]) -> dict[str, _Turn]:
    return {
        record.event.turn_id: _Turn(record.event)
        for record in records
        if isinstance(record.event, HandoffRequested) and record.event.kind is TurnKind.START
    }


def _model_calls(records: Iterable[Recorded], turns: dict[str, _Turn]) -> None:
    for record in records:
        event = record.event
        calls: tuple[ModelCall, ...] = ()
        if isinstance(event, ToolCallRequested) and event.model_call is not None:
            calls = (event.model_call,)
        elif isinstance(event, ResponseGenerated):
            calls = event.calls
        else:
            continue
        turn = turns.get(event.turn_id)
        for call in calls if turn else ():
            _add_call(turn, call)


def _add_call(turn: _Turn | None, call: ModelCall) -> None:
    if turn is None:
        return
    if turn.first_call is None or call.step < turn.first_call.step:
        turn.first_call = call
    if turn.last_call is None or call.step > turn.last_call.step:
        turn.last_call = call


def _posts(records: Iterable[Recorded], turns: dict[str, _Turn]) -> None:
    """Note when the first bubble of each turn was posted; the next waits for its delivery."""
    firsts = {
        record.event.bubble_id
        for record in records
        if isinstance(record.event, OutboundRequested) and record.event.ordinal == 1
    }
    for record in records:
        event = record.event
        if not isinstance(event, OutboundUpdated) or event.bubble_id not in firsts:
            continue
        turn = turns.get(event.turn_id or "")
        if turn is not None and event.posted_at is not None and turn.posted_at is None:
            turn.posted_at = event.posted_at


def _decided(records: Iterable[Recorded]) -> dict[Position, int]:
    """Return when dispatch decided about each of its inputs."""
    found = {}
    for record in records:
        cause = record.event.cause
        if isinstance(record.event, ConversationChanged) and cause is not None:
            source = Position(topic=cause.topic, partition=cause.partition, offset=cause.offset)
            found[source] = cause.decided_at
    return found


def _arriving(
    turn: _Turn,
    messages: dict[str, Recorded],
    positions: dict[Position, Recorded],
    decided: dict[Position, int],
) -> int | None:
    """Return the overhead before the first model call: its last message's, less the window."""
    message = messages.get(turn.started.wamids[-1]) if turn.started.wamids else None
    cause = turn.started.cause
    if message is None or turn.first_call is None or cause is None:
        return None
    whole = turn.first_call.requested_at - message.event.occurred_at
    source = Position(topic=cause.topic, partition=cause.partition, offset=cause.offset)
    started_by = positions.get(source)
    if started_by is None or message.position not in decided:
        return None
    if isinstance(started_by.event, TimerFired):
        return whole - max(0, started_by.event.due_at - decided[message.position])
    # Started by its message; else by the end of an older turn, whose wait is no overhead.
    return whole if source == message.position else None


def _leaving(turn: _Turn) -> int | None:
    if turn.last_call is None or turn.posted_at is None:
        return None
    return turn.posted_at - turn.last_call.answered_at


def percentile(values: Sequence[Number], percent: int) -> Number | int:
    """Return the nearest-rank percentile; 0 of nothing."""
    if not values:
        return 0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
