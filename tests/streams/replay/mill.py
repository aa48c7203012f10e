"""The four stages over a log in memory and a moody world: what is written can be replayed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from agents.outbound import Desk
from agents.ports import (
    SWITCHED_OFF,
    Accepted,
    Asked,
    Claimed,
    Completion,
    Letter,
    NotSent,
    Passage,
    Prompt,
    Receipt,
    Refused,
    Superseded,
    Tool,
    ToolCaller,
    ToolReturned,
    ToolUse,
    Unknown,
    Withheld,
)
from agents.toolbox import shipped
from schemas.changing import replace
from schemas.codec import Codec
from schemas.errors import Rejected, Unavailable
from schemas.events import Citation, Event, Position, SettingsChanged, TimerFired
from schemas.ids import derived, trace
from schemas.topics import DLQ_SUFFIX
from streams.deadletters.dlq import Verdict
from streams.kafka.publish import Record, record_of
from streams.processor.deciding import Decider, Step
from streams.processor.parker import Parker
from streams.processor.stage import Stage
from streams.processor.stages import ai_stage, dispatch_stage, outbound_stage, tools_stage
from streams.replay.found import Found
from streams.state.parking import DROP, SEQUENCE, Arm, arm_at
from streams.state.records import Entry, Kept
from tests.agents.dispatch.talk import SETTINGS, T0
from tests.streams.loop.fakes import FakeMessage

T = TypeVar("T")
CODEC = Codec.offline()
CALLS = (
    ("search_catalogue", '{"query":"t\u00eanis"}'),
    ("search_catalogue", '{"query":"meia"}'),
    ("order_status", '{"order_number":"#12"}'),
    ("open_ticket", '{"kind":"defect","summary":"rasgou"}'),
    ("open_ticket", '{"kind":"nonsense"}'),
    ("transfer_to_person", "{"),
    ("nonsense!", '"\ud800"'),
)
BUGS = 0.01
"""Share of the events that are given up."""
REPEATED = 0.2
"""Share of the records that are published twice."""
SWITCHED = 0.05
"""Share of the model calls that the kill switch cuts short."""
TEXTS = (
    "Chega em 5 dias. Veja https://loja.com.br/frete",
    "**Claro!** [catálogo](https://mau.example.com) \u200bok",
    "",
    "um\n\ndois",
    "x" * 30_000,
    "\ud800 quebrado",
)


@dataclass
class World:
    """Everything outside, in the mood of a seed."""

    mood: Random
    at_ms: int = T0
    known: dict[str, SettingsChanged] = field(default_factory=dict)
    claimed: dict[tuple[str, str, int], str | None] = field(default_factory=dict)
    barred: dict[str, int] = field(default_factory=dict)
    letters: list[Letter] = field(default_factory=list)

    def now_ms(self) -> int:
        self.at_ms += self.mood.choice((0, 1, 40, 900))
        return self.at_ms

    def get(self, tenant_id: str, /) -> SettingsChanged | None:
        return self.known.get(tenant_id)

    async def maybe(self, service: str) -> None:
        for _ in range(self.mood.randint(0, 3)):
            await asyncio.sleep(0)
        if self.mood.random() < 0.06:
            raise Unavailable(service, self.mood.choice((None, 0.1, 60.0)))

    async def search(self, tenant_id: str, question: str, /, *, limit: int) -> tuple[Passage, ...]:
        del tenant_id, question
        await self.maybe("postgres")
        return tuple(self.passage(f"doc{n}.md") for n in range(self.mood.randint(0, limit)))

    async def recall(
        self, tenant_id: str, customer_id: str, /, *, limit: int
    ) -> tuple[Passage, ...]:
        del tenant_id, customer_id, limit
        await asyncio.sleep(0)
        return tuple(self.passage("memory") for _ in range(self.mood.randint(0, 1)))

    def passage(self, source: str) -> Passage:
        score = self.mood.random()
        text = f"Frete grátis acima de {score}. https://loja.com.br/frete"
        return Passage(
            citation=Citation(passage_id=f"{score}", source=source, score=score, sha256="ab"),
            text=text,
        )

    async def complete(self, prompt: Prompt, /, *, agent: str) -> Completion:
        del agent
        await self.maybe("model")
        if self.mood.random() < 0.03:
            raise Rejected(self.mood.choice(("content_filter", "bad_request")))
        uses: tuple[ToolUse, ...] = ()
        if prompt.tools and self.mood.random() < 0.6:
            uses = tuple(
                ToolUse(
                    model_call_id=self.mood.choice(("", f"c{n}", "c")), tool=tool, arguments=text
                )
                for n in range(self.mood.randint(1, 4))
                for tool, text in (self.mood.choice(CALLS),)
            )
        return Completion(
            text=self.mood.choice(TEXTS),
            tools=uses,
            model="m",
            prompt_tokens=self.mood.randint(1, 6_000),
            completion_tokens=7,
            finish_reason=self.mood.choice((*["stop"] * 20, "refusal")),
            requested_at_ms=self.at_ms,
            answered_at_ms=self.at_ms + 3,
        )

    async def claim(self, kind: str, effect_id: str, attempt: int, /) -> bool:
        await self.maybe("postgres")
        taken = (kind, effect_id, attempt) in self.claimed
        self.claimed.setdefault((kind, effect_id, attempt), None)
        return not taken

    async def claim_write(
        self, call_id: str, attempt: int, conversation_id: str, epoch: int, /
    ) -> Claimed:
        taken = ("tool", call_id, attempt) in self.claimed
        if self.barred.get(conversation_id, 0) > epoch and not taken:
            return "barred"
        return "given" if await self.claim("tool", call_id, attempt) else "taken"

    async def claim_ai(
        self, bubble_id: str, attempt: int, conversation_id: str, epoch: int, /
    ) -> Claimed:
        taken = ("bubble", bubble_id, attempt) in self.claimed
        if self.barred.get(conversation_id, 0) > epoch and not taken:
            return "barred"
        return "given" if await self.claim("bubble", bubble_id, attempt) else "taken"

    async def bar(self, conversation_id: str, epoch: int, /) -> None:
        await self.maybe("postgres")
        self.barred[conversation_id] = max(epoch, self.barred.get(conversation_id, 0))

    async def keep(self, conversation_id: str, ids: Mapping[str, str], /) -> None:
        del conversation_id, ids
        await self.maybe("postgres")

    async def knows(self, conversation_id: str, packed: str, /) -> bool:
        del conversation_id, packed
        await self.maybe("postgres")
        return False

    async def settle(self, kind: str, effect_id: str, attempt: int, result: str, /) -> None:
        await self.maybe("postgres")
        self.claimed[kind, effect_id, attempt] = result

    async def result(self, kind: str, effect_id: str, attempt: int, /) -> str | None:
        return self.claimed[kind, effect_id, attempt]

    async def taken(self, kind: str, effect_id: str, attempt: int, /) -> bool:
        await self.maybe("postgres")
        return (kind, effect_id, attempt) in self.claimed

    async def ask(self, asked: Asked, /) -> Withheld | None:
        del asked
        await self.maybe("postgres")
        return self.mood.choice(
            (None, None, None, Withheld(reason="number_rate"), Withheld(reason="auth"))
        )

    async def post(self, letter: Letter, /, *, until_ms: int) -> Receipt:
        assert until_ms > self.at_ms
        self.letters.append(letter)
        self.now_ms()
        receipts: tuple[Receipt, ...] = (
            *[Accepted(wamid=f"wamid.out.{len(self.letters)}")] * 20,
            Accepted(wamid=f"wamid.out.{len(self.letters)}", wa_id="5511"),
            Refused(code=131047, status=400, title="window"),
            Refused(code=0, status=503),
            Unknown(reason="timeout"),
            NotSent(reason="unreachable"),
        )
        return self.mood.choice(receipts)

    async def run(self, caller: ToolCaller, given: Mapping[str, Any]) -> ToolReturned:
        del caller
        await self.maybe("postgres")
        if self.mood.random() < 0.1:
            raise Rejected("no_such_product")
        if self.mood.random() < 0.1:
            raise TimeoutError
        content: Any = self.mood.choice(
            ({"found": [1.5, None, "é"]}, object(), {"text": '"\U0001f600' * 20_000}, [given])
        )
        return ToolReturned(ok=self.mood.random() < 0.8, content=content)

    def toolbox(self) -> Mapping[str, Tool]:
        shop: Any = self
        return {name: replace(tool, run=self.run) for name, tool in shipped(shop).items()}


class Mill:
    """Runs the stages over the log, one event at a time, in any order of their topics.

    Attributes:
        log: Records by topic, in one partition: key, value and headers.
        tables: Table values by stage and conversation.
        letters: Events that were set aside, in order, and not written back yet.
    """

    def __init__(self, mood: Random, world: World | None = None) -> None:
        self.mood = mood
        self.world = world = world or World(mood)
        self.log: dict[str, list[Record]] = {}
        self.tables: dict[tuple[str, bytes], bytes] = {}
        self.letters: list[Record] = []
        self.next: dict[tuple[str, str], int] = {}
        port: Any = world
        toolbox = world.toolbox()
        self.stages = (
            dispatch_stage(port, takeovers=port, archive=port),
            ai_stage(model=port, knowledge=port, tenants=port, toolbox=toolbox, clock=port),
            tools_stage(toolbox=toolbox, claims=port, tenants=port, clock=port),
            outbound_stage(Desk(claims=port, permits=port, courier=port, tenants=port, clock=port)),
        )
        lanes: Any = self
        self.deciders = {s.name: Decider(s, lanes, CODEC, world) for s in self.stages}

    def settle_on(self, **changes: Any) -> None:
        """Publish settings and use them."""
        settings = replace(SETTINGS, **changes)
        self.world.known[settings.tenant_id] = settings
        self.put(settings)

    def put(self, event: Event) -> None:
        self.append(record_of(event, CODEC))

    def append(self, record: Record) -> None:
        self.log.setdefault(record.topic, []).append(record)

    def waiting(self) -> list[tuple[Stage, str]]:
        """Return which stage can read which topic."""
        return [
            (stage, topic.name)
            for stage in self.stages
            for topic in stage.inputs
            if self.next.get((stage.name, topic.name), 0) < len(self.log.get(topic.name, ()))
        ]

    def message(self, topic: str, offset: int) -> FakeMessage:
        record = self.log[topic][offset]
        return FakeMessage(topic, offset, record.key, record.value, headers=record.headers)

    async def unless(
        self,
        message: FakeMessage,
        newer: Callable[[FakeMessage], bool],
        call: Awaitable[T],
        stopped: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """Stand for the lanes: a newer event may already wait, or come while the call runs.

        So may the tenant's kill switch; it is back on before anybody looks again.
        """
        topic, first = message.topic, message.offset + 1
        queued = [self.message(topic, at) for at in range(first, len(self.log[topic]))]
        switched = stopped is not None and self.mood.random() < SWITCHED
        if not switched and not any(map(newer, queued)):
            return await call
        task = asyncio.ensure_future(call)
        for _ in range(self.mood.randint(0, 6)):
            await asyncio.sleep(0)
            if task.done():
                return task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise Superseded(SWITCHED_OFF if switched else "")

    async def turn(self) -> bool:
        """Let one stage apply one event; False when nothing waits and nothing is due."""
        choices = self.waiting()
        if not choices:
            return self.redrive() or self.fire()
        # The AI stage is slow, so what it works on is now and then taken back.
        others = [choice for choice in choices if choice[0].name != "ai"]
        stage, topic = self.mood.choice(others if others and self.mood.random() < 0.7 else choices)
        offset = self.next.get((stage.name, topic), 0)
        message = self.message(topic, offset)
        raw = self.tables.get((stage.name, message.key or b""))
        try:
            step = await self.decided(stage.name, message, Kept.of(raw) if raw else None)
        except Unavailable:
            self.world.at_ms += 100
            return True
        self.next[stage.name, topic] = offset + 1
        if step is not None:
            entry = Entry(step.state, {}, parked=step.parked)
            self.tables[stage.name, message.key or b""] = entry.dumps()
            for record in step.outbox:
                self.publish(record)
        return True

    async def decided(self, name: str, message: FakeMessage, kept: Kept | None) -> Step | None:
        """Decide as the loop does; None when the record is stale."""
        decider = self.deciders[name]
        parker = Parker(decider, "g", lambda _: 1)
        arm = arm_at(name, kept.head.parked if kept else None, message.headers)
        reason = "bug"
        if self.mood.random() > BUGS:
            try:
                if kept is None or arm is Arm.DECIDE:
                    return await decider.decide(message, kept)
                arms = {Arm.BEHIND: parker.set_behind, Arm.DROP: parker.drop}
                known = {**arms, Arm.RETURN: parker.decide}.get(arm)
                return await known(message, kept) if known else None
            except Rejected as exc:
                reason = exc.reason
        verdict = Verdict(reason=reason, group="g", stage=name, first_failed_at_ms=1)
        return await parker.give_up(message, kept, verdict, poison=False)

    def publish(self, record: Record) -> None:
        """Put a record on the log, now and then twice, as after a crash."""
        if not record.topic.endswith(DLQ_SUFFIX):
            for _ in range(2 if self.mood.random() < REPEATED else 1):
                self.append(record)
        elif any(name == SEQUENCE for name, _ in record.headers):
            self.letters.append(record)

    def redrive(self) -> bool:
        """Write the oldest event that was set aside back; False when there is none."""
        if not self.letters:
            return False
        letter = self.letters.pop(0)
        dropped = ((DROP, b"1"),) if self.mood.random() < 0.2 else ()
        topic = letter.topic.removesuffix(DLQ_SUFFIX)
        self.append(structs.replace(letter, topic=topic, headers=(*letter.headers, *dropped)))
        return True

    def fire(self) -> bool:
        """Fire the next timer of any stage; False when none is armed."""
        armed = []
        for (name, key), raw in self.tables.items():
            state = Kept.of(raw).state
            found = msgspec.json.decode(state) if state else {"timers": {}}
            armed += [(due, timer, name, key, found) for timer, due in found["timers"].items()]
        if not armed:
            return False
        due, timer, name, _, found = min(armed, key=lambda each: each[:4])
        topic = next(s.timer_topic for s in self.stages if s.name == name)
        assert topic is not None
        self.world.at_ms = max(self.world.at_ms, due)
        identity = (found["conversation_id"], timer, due)
        self.put(
            TimerFired(
                event=topic.name,
                event_id=derived(*identity),
                trace_id=trace(*identity),
                tenant_id=found["tenant_id"],
                conversation_id=found["conversation_id"],
                customer_id=found["customer_id"],
                idempotency_key=":".join(map(str, identity)),
                occurred_at=self.world.at_ms,
                timer=timer,
                due_at=due,
            )
        )
        return True

    async def rest(self, limit: int = 400) -> None:
        """Let everything come to rest."""
        for _ in range(limit):
            if not await self.turn():
                return

    def found(self) -> list[Found]:
        """Return the log as replay reads it."""
        return [
            Found(
                CODEC.decode(record.value),
                Position(topic=topic, partition=0, offset=offset),
                record.value or b"",
            )
            for topic, records in self.log.items()
            for offset, record in enumerate(records)
        ]
