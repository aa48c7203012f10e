"""Examples and fakes for the AI and tools stages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from agents.core.seen import WIDTH
from agents.ports import (
    SWITCHED_OFF,
    Claimed,
    Completion,
    Passage,
    Prompt,
    Superseded,
    Tool,
    ToolCaller,
    ToolReturned,
    ToolUse,
)
from schemas.changing import replace
from schemas.events import (
    Citation,
    Event,
    HandoffRequested,
    Line,
    Position,
    SettingsChanged,
    ToolCallCompleted,
    ToolCallRequested,
    TurnKind,
)
from schemas.ids import derived

T = TypeVar("T")
NOW = 1_760_000_000_000
CONVERSATION = "conv_1"
CUSTOMER = "cust_1"
SOURCE = Position(topic="t", partition=3, offset=41)

SETTINGS = SettingsChanged(
    event="tenant.settings.changed",
    event_id="settings-1",
    trace_id="0" * 32,
    tenant_id="loja",
    conversation_id="",
    customer_id="",
    idempotency_key="loja:1",
    occurred_at=NOW,
    version=7,
    company=1,
    name="Loja Azul",
    prompt="Vendemos tênis. Site: https://lojaazul.com.br/ajuda",
)
PASSAGE = Passage(
    citation=Citation(passage_id="p1", source="faq.md", score=0.8, sha256="ab"),
    text="A entrega leva 5 dias úteis. Veja https://lojaazul.com.br/entrega",
)
MEMORY = Passage(
    citation=Citation(passage_id="m1", source="memory", score=1.0, sha256="cd"),
    text="Calça 42. Site dele: https://cliente.example.com",
)


def start(turn: int = 1, **changes: Any) -> HandoffRequested:
    given: dict[str, Any] = {
        "event": "routing.handoff.requested",
        "event_id": f"start-{turn}",
        "trace_id": "1" * 32,
        "tenant_id": "loja",
        "conversation_id": CONVERSATION,
        "customer_id": CUSTOMER,
        "idempotency_key": f"turn-{turn}",
        "occurred_at": NOW,
        "kind": TurnKind.START,
        "turn_id": f"turn-{turn}",
        "turn_seq": turn,
        "epoch": 0,
        "to_agent": "triage",
        "reason": "intent:other",
        "history": (Line(role="customer", text="oi", at=NOW),),
        "question": "Quanto tempo leva a entrega?",
        "deadline_at": NOW + 90_000,
    }
    return HandoffRequested(**(given | changes))


def cancel(turn: int = 1, **changes: Any) -> HandoffRequested:
    given = {"kind": TurnKind.CANCEL, "event_id": f"cancel-{turn}", "reason": "newer_message"}
    return start(turn, **(given | changes))


def said(text: str, **changes: Any) -> Completion:
    given: dict[str, Any] = {
        "text": text,
        "tools": (),
        "model": "m",
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "finish_reason": "stop",
        "requested_at_ms": NOW,
        "answered_at_ms": NOW + 900,
    }
    return Completion(**(given | changes))


def wants(*tools: str, arguments: str = "{}", **changes: Any) -> Completion:
    uses = tuple(
        ToolUse(model_call_id=f"c{n}", tool=tool, arguments=arguments)
        for n, tool in enumerate(tools)
    )
    return said("", tools=uses, finish_reason="tool_calls", **changes)


def result(
    call: ToolCallRequested, content: str = '{"found":1}', **changes: Any
) -> ToolCallCompleted:
    given: dict[str, Any] = {
        "event": "tools.call.completed",
        "event_id": derived("result", call.call_id),
        "trace_id": call.trace_id,
        "tenant_id": call.tenant_id,
        "conversation_id": call.conversation_id,
        "customer_id": call.customer_id,
        "idempotency_key": call.call_id,
        "occurred_at": NOW,
        "turn_id": call.turn_id,
        "epoch": call.epoch,
        "call_id": call.call_id,
        "step": call.step,
        "tool": call.tool,
        "ok": True,
        "content": content,
    }
    return ToolCallCompleted(**(given | changes))


def call(number: int = 1, **changes: Any) -> ToolCallRequested:
    given: dict[str, Any] = {
        "event": "tools.call.requested",
        "event_id": f"call-event-{number}",
        "trace_id": "1" * 32,
        "tenant_id": "loja",
        "conversation_id": CONVERSATION,
        "customer_id": CUSTOMER,
        "idempotency_key": f"call-{number}",
        "occurred_at": NOW,
        "turn_id": "turn-1",
        "turn_seq": 1,
        "epoch": 0,
        "call_id": f"call-{number}",
        "model_call_id": "c0",
        "step": 1,
        "agent": "triage",
        "tool": "look",
        "arguments": '{"word":"x"}',
        "deadline_at": NOW + 90_000,
    }
    return ToolCallRequested(**(given | changes))


@dataclass
class OneDelivery:
    """A delivery; ``newer`` is an event that comes behind it, after ``calls`` calls were let be.

    With ``switched`` the tenant's kill switch comes instead.
    """

    source: Position = SOURCE
    now_ms: int = NOW
    newer: Event | None = None
    calls: int = 0
    switched: bool = False

    async def unless(
        self,
        newer: Callable[[Event], bool],
        call: Awaitable[T],
        /,
        *,
        stopped: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        self.calls -= 1
        if self.switched and stopped is not None:
            await call
            raise Superseded(SWITCHED_OFF)
        if self.calls < 0 and self.newer is not None and newer(self.newer):
            await call  # the real one cuts it short; its result is lost either way
            raise Superseded
        return await call


@dataclass
class ScriptedModel:
    """Says what its script says, one entry a call; an error of the script is raised."""

    script: list[Completion | Exception]
    prompts: list[Prompt] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)

    async def complete(self, prompt: Prompt, /, *, agent: str) -> Completion:
        self.prompts.append(prompt)
        self.agents.append(agent)
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class Shelf:
    """A knowledge base with the same passages for every question."""

    passages: tuple[Passage, ...] = (PASSAGE,)
    memories: tuple[Passage, ...] = (MEMORY,)
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def search(self, tenant_id: str, question: str, /, *, limit: int) -> tuple[Passage, ...]:
        self.asked.append((tenant_id, question))
        return self.passages[:limit]

    async def recall(
        self, tenant_id: str, customer_id: str, /, *, limit: int
    ) -> tuple[Passage, ...]:
        self.asked.append((tenant_id, customer_id))
        return self.memories[:limit]


@dataclass
class Directory:
    """Settings of tenants."""

    known: Mapping[str, SettingsChanged] = field(default_factory=lambda: {"loja": SETTINGS})
    off: asyncio.Event = field(default_factory=asyncio.Event)

    def get(self, tenant_id: str, /) -> SettingsChanged | None:
        return self.known.get(tenant_id)

    async def stopped(self, tenant_id: str, /) -> None:
        while (settings := self.get(tenant_id)) is not None and settings.ai_enabled:
            await self.off.wait()

    def switch_off(self) -> None:
        self.known = {"loja": replace(SETTINGS, version=8, ai_enabled=False)}
        self.off.set()


@dataclass
class HandClock:
    """A clock that moves when it is told to."""

    at_ms: int = NOW

    def now_ms(self) -> int:
        return self.at_ms

    async def sleep(self, seconds: float) -> None:
        self.at_ms += int(seconds * 1000)


@dataclass
class Ledger:
    """Claims in memory."""

    rows: dict[tuple[str, str, int], str | None] = field(default_factory=dict)
    bars: dict[str, set[int]] = field(default_factory=dict)

    async def claim(self, kind: str, effect_id: str, attempt: int, /) -> bool:
        if (kind, effect_id, attempt) in self.rows:
            return False
        self.rows[kind, effect_id, attempt] = None
        return True

    async def claim_write(
        self, call_id: str, attempt: int, conversation_id: str, epoch: int, /
    ) -> Claimed:
        if any(newer > epoch for newer in self.bars.get(conversation_id, ())):
            return "taken" if await self.taken("tool", call_id, attempt) else "barred"
        return "given" if await self.claim("tool", call_id, attempt) else "taken"

    async def bar(self, conversation_id: str, epoch: int, /) -> None:
        self.bars.setdefault(conversation_id, set()).add(epoch)

    async def taken(self, kind: str, effect_id: str, attempt: int, /) -> bool:
        return (kind, effect_id, attempt) in self.rows

    async def settle(self, kind: str, effect_id: str, attempt: int, result: str, /) -> None:
        self.rows[kind, effect_id, attempt] = result

    async def result(self, kind: str, effect_id: str, attempt: int, /) -> str | None:
        return self.rows.get((kind, effect_id, attempt))


@dataclass
class Attic:
    """An archive of ids in memory."""

    kept: dict[str, set[str]] = field(default_factory=dict)
    asked: int = 0

    async def keep(self, conversation_id: str, ids: Mapping[str, str], /) -> None:
        for packed in ids.values():
            parts = {packed[at : at + WIDTH] for at in range(0, len(packed), WIDTH)}
            self.kept.setdefault(conversation_id, set()).update(parts)

    async def knows(self, conversation_id: str, packed: str, /) -> bool:
        self.asked += 1
        return packed in self.kept.get(conversation_id, set())


@dataclass
class Bench:
    """Runs of a tool, recorded; its script is what it gives or raises, the last one for ever."""

    script: Sequence[ToolReturned | Exception] = (ToolReturned(ok=True, content={"found": 1}),)
    runs: list[tuple[ToolCaller, Mapping[str, Any]]] = field(default_factory=list)

    async def run(self, caller: ToolCaller, given: Mapping[str, Any]) -> ToolReturned:
        self.runs.append((caller, given))
        answer = self.script[min(len(self.runs), len(self.script)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def tool(self, name: str = "look", **changes: Any) -> Tool:
        given: dict[str, Any] = {
            "name": name,
            "doc": "Looks.",
            "parameters": {
                "type": "object",
                "properties": {"word": {"type": "string", "maxLength": 20}},
                "required": ["word"],
                "additionalProperties": False,
            },
            "run": self.run,
            "agents": ("triage", "support"),
        }
        return Tool(**(given | changes))
