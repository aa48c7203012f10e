"""When each bubble of a story was asked for, written to WhatsApp, and seen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas.events import (
    Author,
    BubbleState,
    OutboundKind,
    OutboundRequested,
    OutboundUpdated,
    Position,
)
from sinks.ports import Recorded
from streams.story.concerning import cause_of
from streams.story.details import SEEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened to a bubble.

    Attributes:
        what: ``asked``, ``posted``, or a state of the gate.
        at_ms: When, Unix milliseconds; of what WhatsApp told, when it came.
        attempt: Number of the attempt, from 1; 0 before the first.
        why: Reason or WhatsApp's error code; empty when all is well.
    """

    what: str
    at_ms: int
    attempt: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubble:
    """One bubble.

    Attributes:
        bubble_id: Our id of it.
        ordinal: Place among the bubbles of its answer, from 1.
        of: Number of bubbles of that answer.
        author: Who speaks.
        wamid: WhatsApp's id, once accepted.
        steps: What happened to it, in order.
    """

    bubble_id: str
    ordinal: int
    of: int
    author: Author
    wamid: str | None
    steps: tuple[Step, ...]


def bubbles(records: Iterable[Recorded], moments: Mapping[Position, int]) -> tuple[Bubble, ...]:
    """Return the bubbles that were asked for among the records, in their order.

    Args:
        records: Records of one conversation, causes first.
        moments: When each of them was.
    """
    told = [(record.event, moments[record.position]) for record in records]
    changes: dict[str, list[tuple[OutboundUpdated, int]]] = {}
    for event, at_ms in told:
        if isinstance(event, OutboundUpdated):
            cause = cause_of(event)
            heard = moments.get(cause, at_ms) if cause and event.state in SEEN else at_ms
            changes.setdefault(event.bubble_id, []).append((event, heard))
    return tuple(
        _bubble(event, at_ms, changes.get(event.bubble_id, []))
        for event, at_ms in told
        if isinstance(event, OutboundRequested) and event.kind is OutboundKind.MESSAGE
    )


def _bubble(
    asked: OutboundRequested, at_ms: int, changes: Iterable[tuple[OutboundUpdated, int]]
) -> Bubble:
    steps = [Step(what="asked", at_ms=at_ms)]
    wamid = None
    posted: set[int] = set()
    for change, changed_ms in changes:
        wamid = change.wamid or wamid
        if change.posted_at is not None and change.attempt not in posted:
            posted.add(change.attempt)
            steps.append(Step(what="posted", at_ms=change.posted_at, attempt=change.attempt))
        if change.state is not BubbleState.PLANNED:
            why = change.reason or (str(change.error_code) if change.error_code else "")
            state = str(change.state)
            steps.append(Step(what=state, at_ms=changed_ms, attempt=change.attempt, why=why))
    return Bubble(
        bubble_id=asked.bubble_id,
        ordinal=asked.ordinal,
        of=asked.of,
        author=asked.author,
        wamid=wamid,
        steps=tuple(steps),
    )
