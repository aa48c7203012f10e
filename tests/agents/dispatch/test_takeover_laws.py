"""Promise I5 over three stages: whatever comes first, nothing of the AI after the gate's word.

Dispatch, the gate and the tools stage run for themselves here, each on its own queue: which of
them goes on next is drawn at random.
"""

from __future__ import annotations

import asyncio
from collections import deque

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from agents.core.gate import Gate
from agents.core.gate_plan import plan
from agents.core.gate_settle import settle
from agents.core.toolcalls import ToolCalls
from agents.dispatch import dispatch
from agents.ports import Accepted
from agents.tools import tools
from schemas.events import (
    Author,
    Command,
    ControlRequested,
    Event,
    HandoffRequested,
    MessageReceived,
    OutboundRequested,
    Position,
    ResponseGenerated,
    ResponseOutcome,
    SettingsChanged,
    TimerFired,
    ToolCallRequested,
    TurnKind,
)
from tests.agents.ai.samples import Attic, Bench, HandClock, Ledger, OneDelivery, call
from tests.agents.dispatch.talk import IDS, T0, envelope, message, with_settings
from tests.agents.laws import machine

QUICK = with_settings(burst_quiet_ms=0)


class Known:
    def get(self, _: str, /) -> SettingsChanged | None:
        return QUICK


class Takeovers(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.claims = Ledger()
        self.bench = Bench()
        self.tool = self.bench.tool(side_effect=True)
        self.state: object = None
        self.gate: Gate | None = None
        self.gate_ms = T0
        self.calls: ToolCalls | None = None
        self.turns: list[HandoffRequested] = []
        self.to_gate: deque[OutboundRequested] = deque()
        self.to_tools: deque[ToolCallRequested] = deque()

    def decide(self, event: Event) -> None:
        self.number += 1
        delivery = OneDelivery(
            source=Position(topic=event.event, partition=0, offset=self.number), now_ms=T0
        )
        self.state, said = asyncio.run(
            dispatch(
                self.state,  # type: ignore[arg-type]  # what it returned before
                event,
                delivery,
                tenants=Known(),
                takeovers=self.claims,
                archive=Attic(),
            )
        )
        for each in said:
            if isinstance(each, OutboundRequested):
                self.to_gate.append(each)
            elif isinstance(each, HandoffRequested) and each.kind is TurnKind.START:
                self.turns += [each] if each.to_agent != "human" else []

    @rule()
    def the_customer_writes(self) -> None:
        self.number += 1
        self.decide(self.message())

    def message(self) -> MessageReceived:
        return message(f"w{self.number}", "quanto custa?", T0)

    @rule(
        command=st.sampled_from(
            (Command.TAKEOVER, Command.TAKEOVER, Command.RELEASE, Command.CLOSE)
        )
    )
    def a_person_asks(self, command: Command) -> None:
        key = f"request-{self.number}"
        asked = envelope("inbox.control.requested", key)
        self.decide(ControlRequested(**asked, command=command, request_id=key))

    @precondition(lambda self: self.turns)
    @rule(data=st.data())
    def the_ai_asks_for_a_tool(self, data: st.DataObject) -> None:
        turn = data.draw(st.sampled_from(self.turns))
        self.number += 1
        self.to_tools.append(
            call(self.number, turn_id=turn.turn_id, epoch=turn.epoch, deadline_at=T0 * 2, **IDS)
        )

    @rule(posted=st.integers(0, 3))
    def the_customer_is_answered(self, posted: int) -> None:
        self.the_customer_writes()
        if self.turns:
            self.answer(self.turns[-1])
        self.the_gate_goes_on(posted)

    @precondition(lambda self: self.turns)
    @rule(data=st.data())
    def the_ai_answers(self, data: st.DataObject) -> None:
        self.answer(data.draw(st.sampled_from(self.turns)))

    def answer(self, turn: HandoffRequested) -> None:
        self.number += 1
        self.decide(
            ResponseGenerated(
                **envelope("agent.ai.response.generated", f"{turn.turn_id}:{self.number}"),
                turn_id=turn.turn_id,
                turn_seq=turn.turn_seq,
                epoch=turn.epoch,
                agent=turn.to_agent,
                outcome=ResponseOutcome.ANSWERED,
                bubbles=("R$ 10", "à vista", "Quer?"),
            )
        )

    @precondition(lambda self: self.to_gate)
    @rule(count=st.integers(1, 4))
    def the_gate_goes_on(self, count: int) -> None:
        for _ in range(min(count, len(self.to_gate))):
            self._gate(self.to_gate.popleft())

    @precondition(lambda self: self.gate is not None and self.gate.timers)
    @rule(data=st.data())
    def a_timer_of_the_gate_fires(self, data: st.DataObject) -> None:
        assert self.gate is not None
        name = data.draw(st.sampled_from(sorted(self.gate.timers)))
        due = self.gate.timers[name]
        self.gate_ms = max(self.gate_ms, due)
        fired = envelope("outbound.timer.fired", f"{name}:{due}")
        self._gate(TimerFired(**fired, timer=name, due_at=due))

    def _gate(self, event: Event) -> None:
        self.number += 1
        source = Position(topic=event.event, partition=0, offset=self.number)
        floor = self.gate.floor if self.gate else 0
        planned = plan(self.gate, event, source=source, now_ms=self.gate_ms, settings=QUICK)
        if planned.bubble is not None and planned.bubble.author is Author.AI:
            assert planned.bubble.epoch >= floor
        sent = Accepted(wamid=f"wamid.{self.number}")
        self.gate, _ = settle(planned, sent, posted_ms=self.gate_ms, now_ms=self.gate_ms)

    @precondition(lambda self: self.to_tools)
    @rule()
    def the_tools_stage_goes_on(self) -> None:
        asked = self.to_tools.popleft()
        ran = len(self.bench.runs)
        self.calls, _ = asyncio.run(
            tools(
                self.calls,
                asked,
                OneDelivery(),
                toolbox={self.tool.name: self.tool},
                claims=self.claims,
                clock=HandClock(),
                tenants=Known(),
            )
        )
        if self.gate is not None and asked.epoch < self.gate.floor:
            assert len(self.bench.runs) == ran


TestTakeovers = Takeovers.TestCase
TestTakeovers.settings = machine(100, steps=40)
