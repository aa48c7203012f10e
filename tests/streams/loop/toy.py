"""Two toy stages over real records, on topics of their own; also a worker process to kill."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import msgspec

from agents.ports import Delivery
from schemas.changing import replace
from schemas.codec import UnknownSchema
from schemas.errors import Rejected, Unavailable
from schemas.events import (
    Cause,
    Event,
    HandoffRequested,
    MessageKind,
    MessageReceived,
    Person,
    ResponseGenerated,
    ResponseOutcome,
    TimerFired,
    TurnKind,
)
from schemas.ids import derived, trace
from schemas.topics import Topic
from sinks.database import open_pool
from sinks.resting import RestingStates
from streams.clock import WallClock
from streams.consumer.ledger import Ledger
from streams.kafka.publish import Publisher
from streams.logs import configure
from streams.processor.resting import Rest
from streams.processor.stage import Stage
from streams.settings import Settings
from streams.sinking import SinkRunner
from streams.worker import Worker

RECORDS: dict[str, type[Any]] = {record.__name__: record for record in get_args(Event)}
UNKNOWN_ID = 7
BORN_MS = WallClock().now_ms()
"""Time of the toys' events; records of the past would fall to the retention of their topic."""


class JsonCodec:
    """Real records as JSON behind a magic byte, so that the toys need no registry."""

    def __init__(self) -> None:
        self.learned: set[int] = {0}
        self.registry_down = 0

    def encode(self, event: Event) -> bytes:
        return b"\x00\x00" + msgspec.json.encode([type(event).__name__, event])

    def decode(self, raw: bytes | None) -> Event:
        if raw is None:
            raise Rejected("null_value")
        if raw[:1] != b"\x00":
            raise Rejected("bad_magic")
        if raw[1] not in self.learned:
            raise UnknownSchema(raw[1])
        try:
            name, body = msgspec.json.decode(raw[2:], type=tuple[str, msgspec.Raw])
            event: Event = msgspec.json.decode(body, type=RECORDS[name])
        except ValueError as exc:
            raise Rejected("truncated") from exc
        return event

    async def learn(self, schema_id: int) -> None:
        if self.registry_down:
            self.registry_down -= 1
            raise Unavailable("registry")
        if schema_id != UNKNOWN_ID:
            raise Rejected("unknown_schema")
        self.learned.add(schema_id)

    async def read(self, raw: bytes | None) -> Event:
        try:
            return self.decode(raw)
        except UnknownSchema as exc:
            await self.learn(exc.schema_id)
            return self.decode(raw)


@dataclass(frozen=True)
class Names:
    """Topics of one test run."""

    run: str

    def topic(self, name: str, record: type[Any]) -> Topic:
        return Topic(name=f"toy.{self.run}.{name}", record=record, doc="", writers=(), readers=())

    @property
    def inbox(self) -> Topic:
        return self.topic("inbox", MessageReceived)

    @property
    def asked(self) -> Topic:
        return self.topic("asked", HandoffRequested)

    @property
    def answered(self) -> Topic:
        return self.topic("answered", ResponseGenerated)

    @property
    def said(self) -> Topic:
        return self.topic("said", ResponseGenerated)

    @property
    def timer(self) -> Topic:
        return self.topic("timer", TimerFired)

    @property
    def talk(self) -> str:
        return f"toy-{self.run}-talk"

    @property
    def think(self) -> str:
        return f"toy-{self.run}-think"

    @property
    def group(self) -> str:
        return f"toy.{self.run}"

    def all(self) -> list[Topic]:
        return [self.inbox, self.asked, self.answered, self.said, self.timer]


@dataclass(frozen=True)
class Tally:
    """State of a toy stage."""

    tenant_id: str
    conversation_id: str
    customer_id: str
    seq: int = 0
    timers: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""
    seen: tuple[str, ...] = ()
    fired: int = 0


def chained(digest: str, word: str) -> str:
    return hashlib.md5(f"{digest}{word}".encode(), usedforsecurity=False).hexdigest()


def received(names: Names, conversation: int, number: int, text: str = "") -> MessageReceived:
    wamid = f"wamid.{conversation}.{number}"
    return MessageReceived(
        event=names.inbox.name,
        event_id=derived("message", wamid),
        trace_id=trace("message", wamid),
        tenant_id="toys",
        conversation_id=f"conv_{conversation}",
        customer_id=f"cust_{conversation}",
        idempotency_key=wamid,
        occurred_at=BORN_MS + number,
        phone_number_id="1",
        wamid=wamid,
        kind=MessageKind.TEXT,
        text=text,
        sender=Person(wa_id="5511900000000"),
        sent_at=1_700_000_000_000,
    )


def common(event: Event, topic: Topic, seq: int, delivery: Delivery) -> dict[str, Any]:
    """Envelope of what follows from an event."""
    source = delivery.source
    return {
        "event": topic.name,
        "event_id": derived(event.event_id, topic.name, 0),
        "trace_id": event.trace_id,
        "tenant_id": event.tenant_id,
        "conversation_id": event.conversation_id,
        "customer_id": event.customer_id,
        "idempotency_key": event.idempotency_key,
        "occurred_at": delivery.now_ms,
        "cause": Cause(
            topic=source.topic,
            partition=source.partition,
            offset=source.offset,
            seq=seq,
            decided_at=delivery.now_ms,
        ),
    }


def step(state: Tally | None, event: Event, word: str) -> Tally:
    before = state or Tally(event.tenant_id, event.conversation_id, event.customer_id)
    return replace(
        before,
        seq=before.seq + 1,
        digest=chained(before.digest, word),
        seen=(*before.seen, word),
    )


@dataclass
class Toys:
    """The agents of both stages.

    ``timer_ms`` arms a timer at each message; of the messages in ``bugs`` nothing can be decided.
    """

    names: Names
    timer_ms: int | None = None
    bugs: Sequence[str] = ()
    call_limit_s: float = 30.0
    timers: bool = True
    hurry: bool = False

    async def talk(
        self, state: Tally | None, event: Event, delivery: Delivery
    ) -> tuple[Tally, tuple[Event, ...]]:
        """inbox -> asked; answered -> said; timer -> said. Some texts take time."""
        match event:
            case MessageReceived():
                if event.wamid in self.bugs:
                    raise ZeroDivisionError(event.text)
                if event.text and event.text.startswith("wait ") and not self.hurry:
                    await asyncio.sleep(float(event.text[5:]))
                if event.text == "block":
                    time.sleep(3600)  # noqa: ASYNC251 - as a bug would
                return self._ask(step(state, event, event.wamid), event, delivery)
            case ResponseGenerated():
                word = f"re:{event.turn_id}"
                if state is not None and word in state.seen:
                    return replace(state, seq=state.seq + 1), ()
                after = step(state, event, word)
                told = replace_envelope(event, common(event, self.names.said, after.seq, delivery))
                return after, (told,)
            case TimerFired():
                assert state is not None
                left = {n: due for n, due in state.timers.items() if n != event.timer}
                after = replace(state, seq=state.seq + 1, timers=left, fired=state.fired + 1)
                return after, ()
            case _:
                raise Rejected("unexpected")

    def _ask(
        self, after: Tally, event: MessageReceived, delivery: Delivery
    ) -> tuple[Tally, tuple[Event, ...]]:
        if self.timer_ms is not None:
            after = replace(after, timers={"toy": delivery.now_ms + self.timer_ms})
        asked = HandoffRequested(
            **common(event, self.names.asked, after.seq, delivery),
            kind=TurnKind.START,
            turn_id=event.wamid,
            turn_seq=after.seq,
            epoch=0,
            to_agent="toy",
            reason=after.digest,
            deadline_at=0,
        )
        return after, (asked,)

    async def think(
        self, state: Tally | None, event: Event, delivery: Delivery
    ) -> tuple[Tally, tuple[Event, ...]]:
        """asked -> answered."""
        assert isinstance(event, HandoffRequested)
        if state is not None and event.turn_id in state.seen:
            return replace(state, seq=state.seq + 1), ()
        await asyncio.sleep(0.005)
        after = step(state, event, event.turn_id)
        return after, (
            ResponseGenerated(
                **common(event, self.names.answered, after.seq, delivery),
                turn_id=event.turn_id,
                turn_seq=event.turn_seq,
                epoch=0,
                agent="toy",
                outcome=ResponseOutcome.ANSWERED,
                reason=event.reason,
            ),
        )

    def stages(self) -> list[Stage]:
        names = self.names
        return [
            Stage(
                name=names.talk,
                inputs=(names.inbox, names.answered, *([names.timer] if self.timers else ())),
                state=Tally,
                agent=self.talk,
                timer_topic=names.timer if self.timers else None,
                parks=True,
                call_limit_s=self.call_limit_s,
            ),
            Stage(name=names.think, inputs=(names.asked,), state=Tally, agent=self.think),
        ]


def replace_envelope(event: ResponseGenerated, envelope: dict[str, Any]) -> ResponseGenerated:
    return replace(event, **envelope)


class NoTenants:
    async def start(self) -> None:
        return None

    async def stop(self) -> None:
        return None


@dataclass
class ToyParts:
    stages: Sequence[Stage]
    codec: JsonCodec
    publisher: Publisher
    tenants: NoTenants = field(default_factory=NoTenants)
    sinks: Sequence[SinkRunner] = ()
    rest: Rest | None = None
    pool: Any = None
    loading: None = None

    async def close(self) -> None:
        if self.pool is not None:
            await self.pool.close()


SHOWN_S = 0.5
"""What a worker that refuses a log, or whose fuse has blown, says is read in its log."""


def toy_settings(bootstrap: str, **more: Any) -> Settings:
    usual = {"worker_port": 0, "session_timeout_s": 6, "drain_s": 1, "topic_partitions": 4}
    return Settings(kafka_bootstrap=bootstrap, **{**usual, **more})


async def serve(argv: list[str]) -> int:
    """Run a toy worker: bootstrap, run, instance, options as JSON."""
    bootstrap, run, instance = argv[:3]
    options = json.loads(argv[3]) if len(argv) > 3 else {}
    names = Names(run)
    settings = toy_settings(bootstrap, instance=instance, **options.get("settings", {}))
    configure("info", service="toy", instance=instance)
    if options.get("planted") == "hole":
        Ledger.safe = lambda self: self.next  # type: ignore[method-assign] # planted

    async def build() -> ToyParts:
        publisher = Publisher(bootstrap, client_id=f"toy.{instance}")
        chosen = {
            name: options[name]
            for name in ("timer_ms", "bugs", "call_limit_s", "timers", "hurry")
            if name in options
        }
        parts = ToyParts(Toys(names, **chosen).stages(), JsonCodec(), publisher)
        if "sink" in options:  # instead of the stages
            from tests.streams.loop.shelf import Shelf, sink_of  # noqa: PLC0415 - it imports this

            sink = sink_of(Shelf(), names, publisher, bootstrap, settings)
            sink.call_limit_s = options["sink"].get("call_limit_s", sink.call_limit_s)
            parts.stages, parts.sinks = (), (sink,)
        if "rest" in options:
            dsn, idle_ms = options["rest"]
            parts.pool = await open_pool(dsn)
            parts.rest = Rest(shelf=RestingStates(parts.pool), idle_ms=idle_ms)
        return parts

    return await Worker(
        settings, build, clock=WallClock(), group=names.group, shown_s=SHOWN_S
    ).run()


if __name__ == "__main__":
    sys.exit(asyncio.run(serve(sys.argv[1:])))
