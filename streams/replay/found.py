"""Records of the log, put together again as the steps that said them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from schemas.events import Cause, Event, Position, StepTaken
from schemas.topics import STATEFUL_STAGES, TOPICS

WRITERS: Final[Mapping[str, str]] = {
    topic.name: writer
    for topic in TOPICS
    if len(stages := [each for each in topic.writers if each in STATEFUL_STAGES]) == 1
    for writer in stages
}
"""The stage that writes a topic; a StepTaken names its own."""

Actor = tuple[str, str]
"""A stage and a conversation: what has a state, and steps that are numbered."""


@dataclass(frozen=True, slots=True)
class Found:
    """A record as it is on the log.

    Attributes:
        event: The record.
        position: Where it stands.
        value: Its bytes.
    """

    event: Event
    position: Position
    value: bytes

    @property
    def actor(self) -> Actor | None:
        """Who said it; None when no stage did."""
        event = self.event
        stage = event.stage if isinstance(event, StepTaken) else WRITERS.get(event.event)
        return None if stage is None or event.cause is None else (stage, event.conversation_id)


@dataclass(slots=True)
class Step:
    """One step of a stage in a conversation, as the log tells it.

    Attributes:
        cause: Which event it applied, as which step, when, and what it heard.
        said: What the stage said, by topic in the order of the log; a repetition only once.
        clashes: Why the records cannot be of one step.
    """

    cause: Cause
    said: list[Found] = field(default_factory=list)
    clashes: list[str] = field(default_factory=list)

    @property
    def source(self) -> Position:
        """Where the event that it applied stands."""
        return Position(
            topic=self.cause.topic, partition=self.cause.partition, offset=self.cause.offset
        )

    @property
    def heard(self) -> tuple[str, ...]:
        """What the stage heard; it is on one of its records."""
        told = (found.event.cause.heard for found in self.said if found.event.cause)
        return next(filter(None, told), ())

    @property
    def state(self) -> str | None:
        """The state after the step, where it was written down."""
        for found in self.said:
            if isinstance(found.event, StepTaken) and found.event.state is not None:
                return found.event.state
        return None

    def take(self, found: Found, cause: Cause) -> None:
        """Add one of its records."""
        for known in self.said:
            if known.event.event_id == found.event.event_id:
                if known.value != found.value:
                    self.clashes.append(f"{found.event.event} says two things under one id")
                return
        if _decision(cause) != _decision(self.cause):
            self.clashes.append(f"{found.event.event} names another event or time for this step")
        self.said.append(found)


def _decision(cause: Cause) -> tuple[object, ...]:
    return (cause.topic, cause.partition, cause.offset, cause.decided_at, cause.settings_version)


def steps(records: Iterable[Found]) -> dict[Actor, list[Step]]:
    """Return the steps of every stage in every conversation, in their order.

    Args:
        records: Records, those of one partition in the order of the log.
    """
    known: dict[Actor, dict[_Number, Step]] = {}
    for actor, found, cause in _said(records):
        mine = known.setdefault(actor, {})
        step = mine.setdefault(_number(cause), Step(cause))
        step.take(found, cause)
    return {actor: [mine[number] for number in sorted(mine)] for actor, mine in known.items()}


_Number = tuple[int, str, int]


def _number(cause: Cause) -> _Number:
    """Return what a step is known by; the number 0 stands outside the order, so many have it."""
    return (cause.seq, cause.topic, cause.offset) if cause.seq == 0 else (cause.seq, "", 0)


def _said(records: Iterable[Found]) -> Iterator[tuple[Actor, Found, Cause]]:
    for found in records:
        actor, cause = found.actor, found.event.cause
        if actor is not None and cause is not None:
            yield actor, found, cause
