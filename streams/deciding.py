"""From one message to one step: decode, ask the stage's agent, encode. No writes happen here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import msgspec
import structlog

from agents.ports import Clock
from schemas.codec import UnknownSchema
from schemas.errors import Rejected
from schemas.events import Event, Position
from streams.dlq import Original, Verdict, dead_letter
from streams.lanes import Lanes
from streams.logs import place
from streams.publish import Record, record_of
from streams.records import STATE_BYTES, Kept, next_due
from streams.stage import Stage

log = structlog.get_logger(__name__)

T = TypeVar("T")
ENCODER: Final = msgspec.json.Encoder()


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


@dataclass(frozen=True, slots=True)
class Step:
    """What an event makes of a conversation.

    Attributes:
        state: The state after it, as JSON; empty is none.
        due_ms: When the next timer is due.
        outbox: What to publish.
    """

    state: bytes
    due_ms: int | None
    outbox: tuple[Record, ...] = ()


class LaneDelivery:
    """One event's delivery to an agent (``agents.ports.Delivery``)."""

    __slots__ = ("codec", "lanes", "message", "now_ms")

    def __init__(self, lanes: Lanes, message: Any, codec: Codec, now_ms: int) -> None:
        self.lanes = lanes
        self.message = message
        self.codec = codec
        self.now_ms = now_ms

    @property
    def source(self) -> Position:
        """Where the event stands in the log."""
        message = self.message
        return Position(topic=message.topic, partition=message.partition, offset=message.offset)

    async def unless(self, newer: Callable[[Event], bool], call: Awaitable[T], /) -> T:
        """Await the call; cancel it and raise Superseded when a newer matching event waits."""
        return await self.lanes.unless(self.message, lambda m: self._matches(m, newer), call)

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
        self.states = msgspec.json.Decoder(stage.state)

    def state_of(self, kept: Kept | None) -> Any:
        """Return the state that a table value holds, or None."""
        return self.states.decode(kept.state) if kept is not None and kept.state else None

    async def decide(self, message: Any, kept: Kept | None) -> Step:
        """Ask the agent.

        Raises:
            Poison: The record is no event of this topic and conversation.
            Rejected: The agent gives the event up, or its state would be too large.
            Unavailable: The agent needs something that is down.
        """
        event = await self._event(message)
        state, events = await self.stage.agent(self.state_of(kept), event, self._delivery(message))
        return self._step(state, events)

    async def park(self, message: Any, kept: Kept | None, verdict: Verdict) -> Step:
        """Give an event up: its dead letter, and what the stage says about it."""
        letter = dead_letter(original(message), verdict)
        same = Step(
            kept.state if kept is not None else b"",
            kept.head.due_ms if kept is not None else None,
            (letter,),
        )
        if self.stage.parked is None:
            return same
        try:
            event = await self._event(message)
            state, events = self.stage.parked(
                self.state_of(kept), event, self._delivery(message), verdict.reason
            )
            step = self._step(state, events)
        except Rejected:  # no event to speak of
            return same
        except Exception as exc:  # noqa: BLE001 - parking is the last resort and must not fail
            log.error("parked.failed", stage=self.stage.name, error=place(exc))  # noqa: TRY400
            return same
        return Step(step.state, step.due_ms, (letter, *step.outbox))

    def _delivery(self, message: Any) -> LaneDelivery:
        return LaneDelivery(self.lanes, message, self.codec, self.clock.now_ms())

    def _step(self, state: Any, events: tuple[Event, ...]) -> Step:
        raw = ENCODER.encode(state)
        if len(raw) > STATE_BYTES:
            raise Rejected("state_too_large", f"{len(raw)} bytes, at most {STATE_BYTES}")
        outbox = tuple(record_of(event, self.codec) for event in events)
        return Step(raw, next_due(state.timers), outbox)

    async def _event(self, message: Any) -> Event:
        try:
            event = await self._decode(message.value)
        except Rejected as exc:
            raise Poison(exc.reason, exc.detail) from exc
        if event.event != message.topic:
            raise Poison("wrong_topic", "the record says that it belongs to another topic")
        if event.conversation_id.encode() != message.key:
            raise Poison("wrong_key", "the key is not the conversation of the record")
        return event

    async def _decode(self, raw: bytes | None) -> Event:
        try:
            return self.codec.decode(raw)
        except UnknownSchema as exc:
            await self.codec.learn(exc.schema_id)
            return self.codec.decode(raw)
