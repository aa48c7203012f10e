"""From one message to one step: decode, ask the stage's agent, encode. No writes happen here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import msgspec

from agents.ports import Clock
from schemas.codec import UnknownSchema
from schemas.errors import Rejected
from schemas.events import Event, Position
from streams.deadletters.dlq import Original
from streams.kafka.publish import Record, record_of
from streams.processor.hearing import Hearing, listening
from streams.processor.lanes import Lanes
from streams.processor.stage import Stage
from streams.processor.steps import Applied, written_down
from streams.state.parking import Parking
from streams.state.records import (
    STATE_BYTES,
    Early,
    Entry,
    Head,
    Kept,
    applying,
    checksum_of,
    next_due,
)
from streams.state.states import States

T = TypeVar("T")
ENCODER: Final = msgspec.json.Encoder()

EFFECT_BYTES: Final = 64 << 10
"""Largest event that a stage may say; more goes by reference (design of the state's size)."""


class Poison(Rejected):
    """The record itself is bad, whatever the stage would do with it."""


class Codec(Protocol):
    """Events to bytes and back (``schemas.codec.Codec``)."""

    def encode(self, event: Event, /) -> bytes:
        """Return the bytes of an event."""

    def decode(self, raw: bytes | None, /) -> Event:
        """Return the event; raises Rejected, or UnknownSchema before its schema is learned."""

    async def learn(self, schema_id: int, /) -> None:
        """Ask the registry for a schema."""


class Step(msgspec.Struct, frozen=True):
    """What an event makes of a conversation.

    Attributes:
        state: The state after it, as JSON; empty is none.
        due_ms: When the next timer is due.
        outbox: What to publish.
        parked: The flag of a parked conversation, or None.
        loose: A dead letter that is too large for the outbox: it is published before the
            state is written.
        after: The state as an object, if it was decided.
    """

    state: bytes
    due_ms: int | None
    outbox: tuple[Record, ...] = ()
    parked: Parking | None = None
    loose: Record | None = None
    after: Any = None

    def entry(
        self, before: Head | None, message: Any, *, epoch: int, at_ms: int, early: Early = ()
    ) -> Entry:
        """Return the table value that the message leaves behind.

        Args:
            before: Head of the value before, or None.
            message: What was decided.
            epoch: Ours, as the owner of the partition.
            at_ms: Time of the writing.
            early: Timers that are due before the state says so; while a conversation is parked
                nobody looks at them, so they stay as they were.
        """
        if before is not None and before.parked is not None:
            early = before.early
        topic, offset = message.topic, message.offset
        applied, marks = applying(before, topic, offset, checksum_of(message.value))
        return Entry(
            self.state,
            applied,
            (topic, offset),
            self.outbox,
            epoch,
            self.due_ms,
            self.parked,
            marks,
            at_ms,
            early=early,
        )


class LaneDelivery:
    """One event's delivery to an agent (``agents.ports.Delivery``)."""

    __slots__ = ("_source", "codec", "hearing", "lanes", "message", "now_ms")

    def __init__(self, lanes: Lanes, message: Any, codec: Codec, now_ms: int) -> None:
        self.hearing = Hearing()
        self.lanes = lanes
        self.message = message
        self.codec = codec
        self.now_ms = now_ms
        self._source: Position | None = None

    @property
    def source(self) -> Position:
        """Where the event stands in the log."""
        if self._source is None:
            at = self.message
            self._source = Position(topic=at.topic, partition=at.partition, offset=at.offset)
        return self._source

    async def unless(
        self,
        newer: Callable[[Event], bool],
        call: Awaitable[T],
        /,
        *,
        stopped: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """Await the call, but cancel it when a newer matching event waits, or ``stopped`` returns.

        Raises:
            Superseded: It was cancelled.
        """
        return await self.hearing.unless(
            lambda: self.lanes.unless(
                self.message, lambda m: self._matches(m, newer), call, stopped
            )
        )

    def _matches(self, message: Any, newer: Callable[[Event], bool]) -> bool:
        try:
            event = self.codec.decode(message.value)
        except Rejected:  # it is judged when its turn comes
            return False
        return newer(event)


def original(message: Any) -> Original:
    """Return a consumed message as a dead letter keeps it."""
    return Original(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=round((message.timestamp or 0) * 1000),
        key=message.key,
        value=message.value,
        headers=tuple(message.headers or ()),
    )


class Decider:
    """Decides the events of one stage."""

    def __init__(self, stage: Stage, lanes: Lanes, codec: Codec, clock: Clock) -> None:
        self.stage = stage
        self.lanes = lanes
        self.codec = codec
        self.clock = clock
        self.states = States(stage.state)

    async def decide(self, message: Any, kept: Kept | None) -> Step:
        """Ask the agent.

        Raises:
            Poison: The record is no event of this topic and conversation.
            Rejected: The agent gives the event up, or its state would be too large.
            Unavailable: The agent needs something that is down.
        """
        event = await self.event(message)
        delivery = self.delivery(message)
        with listening(delivery.hearing):
            before = self.states.of(message.key, kept)
            state, events = await self.stage.agent(before, event, delivery)
        return self.step(event, delivery, state, events)

    def delivery(self, message: Any) -> LaneDelivery:
        """Return what an agent is told of the delivery."""
        return LaneDelivery(self.lanes, message, self.codec, self.clock.now_ms())

    def step(
        self, event: Event, delivery: LaneDelivery, state: Any, events: tuple[Event, ...]
    ) -> Step:
        """Encode what was decided, and what was heard.

        Raises:
            Rejected: The state or one of the events is larger than may be kept.
        """
        raw = ENCODER.encode(state)
        if len(raw) > STATE_BYTES:
            raise Rejected("state_too_large", f"{len(raw)} bytes, at most {STATE_BYTES}")
        said = written_down(
            Applied(self.stage, event, delivery, delivery.hearing), state, raw, events
        )
        outbox = tuple([record_of(each, self.codec) for each in said])
        for record in outbox:
            if (size := len(record.value or b"")) > EFFECT_BYTES:
                detail = f"{size} bytes for {record.topic}, at most {EFFECT_BYTES}"
                raise Rejected("effect_too_large", detail)
        return Step(raw, next_due(state.timers), outbox, after=state)

    async def event(self, message: Any) -> Event:
        """Decode a message.

        Raises:
            Poison: It is no event of this topic and conversation.
            Unavailable: Its schema is new, and the registry does not answer.
        """
        try:
            try:
                event = self.codec.decode(message.value)
            except UnknownSchema as exc:
                await self.codec.learn(exc.schema_id)
                event = self.codec.decode(message.value)
        except Rejected as exc:
            raise Poison(exc.reason, exc.detail) from exc
        if event.event != message.topic:
            raise Poison("wrong_topic", "the record says that it belongs to another topic")
        if event.conversation_id.encode() != message.key:
            raise Poison("wrong_key", "the key is not the conversation of the record")
        return event
