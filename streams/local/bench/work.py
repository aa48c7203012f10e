"""The work that every variant does for one record: the same state, decided the same way.

Decode the event, read the conversation's state (4 KB of JSON), remember the event in it, and
say one event of the same size.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct, field

from agents.ports import Delivery
from schemas.changing import replace
from schemas.codec import Codec
from schemas.events import Event, MessageKind, MessageReceived, Person
from schemas.ids import derived, trace
from schemas.topics import MESSAGE_RECEIVED, Topic
from streams.clock import WallClock
from streams.processor.stage import Stage

KEYS: Final = 500
LINES: Final = 32
"""Lines that a state keeps; with ``LINE_CHARS`` each they are 4 KB, as a conversation's are."""
LINE_CHARS: Final = 124
BLANK: Final = "." * LINE_CHARS
WAMID: Final = "wamid.bench."


class Seen(Struct, frozen=True):
    """State of the stage that is measured."""

    tenant_id: str
    conversation_id: str
    customer_id: str
    seq: int = 0
    timers: dict[str, int] = field(default_factory=dict)
    lines: tuple[str, ...] = (BLANK,) * LINES


DECODER: Final = msgspec.json.Decoder(Seen)
ENCODER: Final = msgspec.json.Encoder()


class Renamed:
    """Our codec for topics that are none of the pipeline's; several hops may share one."""

    def __init__(self, source: str, target: str, codec: Codec | None = None) -> None:
        self.codec = codec or Codec.offline()
        self.source = source
        self.target = target
        for topic in (source, target):
            self.codec.extend(topic, MESSAGE_RECEIVED.name)
        self.encode = self.codec.encode
        self.decode = self.codec.decode

    async def learn(self, schema_id: int) -> None:
        """Learn nothing: every schema is known."""
        await self.codec.learn(schema_id)

    async def agent(
        self, state: Seen | None, event: Event, delivery: Delivery
    ) -> tuple[Seen, tuple[Event, ...]]:
        """Do the work of one event."""
        return self.decide(state, event, delivery.now_ms)

    def decide(
        self, state: Seen | None, event: Event, now_ms: int
    ) -> tuple[Seen, tuple[Event, ...]]:
        """Remember the event, and pass it on."""
        before = state or Seen(event.tenant_id, event.conversation_id, event.customer_id)
        said = replace(
            event,
            event=self.target,
            event_id=derived(event.event_id, "bench"),
            occurred_at=now_ms,
        )
        line = event.event_id.ljust(LINE_CHARS)
        return replace(before, seq=before.seq + 1, lines=(*before.lines[1:], line)), (said,)

    def relayed(self, stored: bytes | None, value: bytes | None) -> tuple[bytes, bytes]:
        """Do the whole work from bytes to bytes: return the new state, and the event to send."""
        state = DECODER.decode(stored) if stored else None
        after, (said,) = self.decide(state, self.decode(value), WallClock().now_ms())
        return ENCODER.encode(after), self.encode(said)


def stage(name: str, work: Renamed, max_inflight: int) -> Stage:
    """Return a stage that does the work."""
    source = Topic(name=work.source, record=MessageReceived, doc="", writers=(), readers=())
    return Stage(
        name=name, inputs=(source,), state=Seen, agent=work.agent, max_inflight=max_inflight
    )


def event(topic: str, number: int, chars: int = 64) -> MessageReceived:
    """Return one event of the input; its text has so many characters."""
    wamid = f"{WAMID}{number}"
    now_ms = WallClock().now_ms()
    return MessageReceived(
        event=topic,
        event_id=derived("message", wamid),
        trace_id=trace("message", wamid),
        tenant_id="bench",
        conversation_id=f"conv_{number % KEYS}",
        customer_id=f"cust_{number % KEYS}",
        idempotency_key=wamid,
        occurred_at=now_ms,
        phone_number_id="1",
        wamid=wamid,
        kind=MessageKind.TEXT,
        text="x" * chars,
        sender=Person(wa_id="0"),
        sent_at=now_ms,
    )
