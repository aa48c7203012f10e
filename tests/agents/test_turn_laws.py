"""Dispatch, the AI stage and tools together: a turn has one end, and what it did is never lost.

What one stage says waits in its topic's queue until the next one reads it. Workers may die between
what they did and what they wrote down: then the event comes again.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from agents.ai import ai
from agents.core.toolcalls import ToolCalls
from agents.core.turn import Turn
from agents.given_up import ai_gave_up, tools_gave_up
from agents.ports import Completion, ToolReturned
from agents.tools import tools
from schemas.errors import Rejected, Unavailable
from schemas.events import (
    Command,
    Event,
    HandoffRequested,
    OutboundRequested,
    Phase,
    Position,
    ResponseGenerated,
    SettingsChanged,
    ToolCallCompleted,
    ToolCallRequested,
    TurnKind,
)
from tests.agents.ai.samples import (
    Bench,
    HandClock,
    Ledger,
    OneDelivery,
    ScriptedModel,
    Shelf,
    said,
    wants,
)
from tests.agents.dispatch.talk import Talk, with_settings
from tests.agents.laws import machine

ON: Final = with_settings(handoff_minutes=1, burst_quiet_ms=0)
OFF: Final = with_settings(version=8, ai_enabled=False, handoff_minutes=1)
WORDS: Final = '{"word":"x"}'
SAYS: Final[tuple[Completion | Exception, ...]] = (
    wants("order", arguments=WORDS),
    wants("order", "look", arguments=WORDS),
    wants("look", arguments=WORDS),
    wants("order", arguments="{"),
    said("R$ 10"),
    said(""),
    Unavailable("model"),
    Rejected("content_filter"),
)
GIVES: Final[tuple[ToolReturned | Exception, ...]] = (
    ToolReturned(ok=True, content={"done": 1}),
    ToolReturned(ok=True, content={"done": 1}),
    Unavailable("shop"),
    Rejected("sold_out"),
)
AGENTS: Final = ("triage", "sales", "support")


class TurnMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.talk = Talk(ON)
        self.turn: Turn | None = None
        self.calls: ToolCalls | None = None
        self.claims = Ledger()
        self.orders, self.looks = Bench(), Bench()
        self.toolbox = {
            "order": self.orders.tool("order", side_effect=True, agents=AGENTS),
            "look": self.looks.tool("look", agents=AGENTS),
        }
        self.to_ai: deque[HandoffRequested] = deque()
        self.results: deque[ToolCallCompleted] = deque()
        self.to_tools: deque[ToolCallRequested] = deque()
        self.responses: deque[ResponseGenerated] = deque()
        self.read: list[Event] = []
        self.received: list[str] = []
        self.started: dict[str, HandoffRequested] = {}
        self.ended: dict[str, ResponseGenerated] = {}
        self.completed: Counter[str] = Counter()
        self.offset = 0

    def get(self, _: str, /) -> SettingsChanged | None:
        return self.talk.settings

    async def stopped(self, _: str, /) -> None:
        await asyncio.Event().wait()

    # Dispatch

    def heard(self) -> None:
        if self.talk.it.silenced and self.talk.of(OutboundRequested):
            self._run(self.claims.bar(self.talk.it.conversation_id, self.talk.it.epoch))
        for each in self.talk.of(HandoffRequested):
            if each.to_agent == "human":
                continue
            self.to_ai.append(each)
            if each.kind is TurnKind.START:
                self._judge_start(each)

    def _judge_start(self, start: HandoffRequested) -> None:
        """What a turn has done something for is not asked a second time."""
        for turn_id, earlier in self.started.items():
            if set(earlier.wamids) & set(start.wamids):
                assert turn_id in self.ended
                assert not self.ended[turn_id].side_effects
        self.started[start.turn_id] = start

    @rule(text=st.sampled_from(("quanto custa?", "quero um", "atendente")))
    def the_customer_writes(self, text: str) -> None:
        self.received.append(f"w{len(self.received)}")
        self.talk.hear(self.received[-1], text)
        self.heard()

    @rule(command=st.sampled_from((Command.TAKEOVER, Command.RELEASE, Command.CLOSE)))
    def a_person_asks(self, command: Command) -> None:
        self.talk.control(command)
        self.heard()

    @rule(new=st.sampled_from((ON, ON, OFF)))
    def the_settings_change(self, new: SettingsChanged) -> None:
        self.talk.settings = new

    @precondition(lambda self: self.talk.state and self.talk.state.timers)
    @rule(data=st.data())
    def a_timer_fires(self, data: st.DataObject) -> None:
        self.talk.fire(data.draw(st.sampled_from(sorted(self.talk.it.timers))))
        self.heard()

    @rule()
    def time_passes(self) -> None:
        self.talk.now += 95_000

    @precondition(lambda self: self.responses)
    @rule()
    def dispatch_hears_of_an_end(self) -> None:
        self.talk.apply(self.responses.popleft())
        self.heard()

    # The AI stage

    @precondition(lambda self: self.to_ai)
    @rule(says=st.sampled_from(SAYS), cut=st.booleans(), dies=st.booleans())
    def the_ai_reads_what_dispatch_asks(
        self, says: Completion | Exception, *, cut: bool, dies: bool
    ) -> None:
        self._ai(self.to_ai, says, cut=cut, dies=dies)

    @precondition(lambda self: self.results)
    @rule(says=st.sampled_from(SAYS), cut=st.booleans(), dies=st.booleans())
    def the_ai_reads_a_result(self, says: Completion | Exception, *, cut: bool, dies: bool) -> None:
        self._ai(self.results, says, cut=cut, dies=dies)

    # A scene: a turn that does something, and who comes between

    @rule(
        wanted=st.sampled_from(SAYS[:3]),
        between=st.sampled_from(
            ("nobody", "customer", "customer", "person", "patience", "time", "kill switch")
        ),
        when=st.sampled_from(("before", "between", "after")),
        run=st.sampled_from(("runs", "runs", "dies", "given up", "waits")),
        gives=st.sampled_from(GIVES),
        ends=st.sampled_from(("says", "says", "given up", "waits")),
        says=st.sampled_from(SAYS),
    )
    def a_turn_does_something(  # noqa: PLR0913 - drawn by name
        self,
        *,
        wanted: Completion,
        between: str,
        when: str,
        run: str,
        gives: ToolReturned | Exception,
        ends: str,
        says: Completion | Exception,
    ) -> None:
        self._wants(wanted)
        if when == "before":
            self._comes(between)
        if run == "dies" and self.to_tools:
            self.the_tools_run(gives, dies=True)
        if when == "between":
            self._comes(between)
        self._runs(run, gives)
        if when == "after":
            self._comes(between)
        if self.results and ends == "given up":
            self._ai_gives_up(self.results)
        elif self.results and ends == "says":
            self._ai(self.results, says)
        while self.to_ai and ends != "waits":
            self._ai(self.to_ai, says)

    def _wants(self, wanted: Completion) -> None:
        """Whatever was before: a turn starts, and its first answer wants tools."""
        while self.talk.state and (self.to_ai or self.to_tools or self.results or self.responses):
            self._goes_on()
        self.talk.settings = ON
        if self.talk.state and self.talk.it.phase is Phase.WITH_HUMAN:
            self.a_person_asks(Command.RELEASE)
        self.the_customer_writes("quanto custa?")
        while self.to_ai:
            self._ai(self.to_ai, wanted)

    def _comes(self, who: str) -> None:
        if who == "customer":
            self.the_customer_writes("e o azul?")
        elif who == "person":
            self.a_person_asks(Command.TAKEOVER)
        elif who == "patience" and "turn" in self.talk.it.timers:
            self.talk.fire("turn")
            self.heard()
        elif who == "time":
            self.time_passes()
        elif who == "kill switch":
            self.talk.settings = OFF

    def _runs(self, how: str, gives: ToolReturned | Exception) -> None:
        if self.to_tools and how == "given up":
            self.the_tools_give_up()
        elif how != "waits":
            while self.to_tools:
                self.the_tools_run(gives, dies=False)

    def _ai(
        self,
        queue: deque[Any],
        says: Completion | Exception = SAYS[4],
        *,
        cut: bool = False,
        dies: bool = False,
    ) -> None:
        event = queue[0]
        behind = [each for each in self.to_ai if each is not event and each.kind is TurnKind.CANCEL]
        delivery = OneDelivery(
            source=self._place(event), now_ms=self.talk.now, newer=behind[0] if behind else None
        )
        delivery.calls = 0 if cut else 9
        script: list[Completion | Exception] = [says, SAYS[4], SAYS[4]]
        if isinstance(says, Exception):
            script = [says] * 9
        clock = HandClock(self.talk.now)
        after, effects = asyncio.run(
            ai(
                self.turn,
                event,
                delivery,
                model=ScriptedModel(script),
                knowledge=Shelf(),
                tenants=self,
                toolbox=self.toolbox,
                clock=clock,
                sleep=clock.sleep,
            )
        )
        if not dies:
            queue.popleft()
            self._ai_said(event, after, effects)

    def _ai_said(self, event: Event, after: Turn, effects: tuple[Event, ...]) -> None:
        self.turn = after
        self.read.append(event)
        for each in effects:
            if isinstance(each, ToolCallRequested):
                self.to_tools.append(each)
            elif isinstance(each, ResponseGenerated):
                assert each.turn_id not in self.ended
                self.ended[each.turn_id] = each
                self.responses.append(each)

    @precondition(lambda self: self.to_ai or self.results)
    @rule()
    def the_ai_gives_up(self) -> None:
        self._ai_gives_up(self.to_ai or self.results)

    def _ai_gives_up(self, queue: deque[Any]) -> None:
        event: Event = queue.popleft()
        delivery = OneDelivery(source=self._place(event), now_ms=self.talk.now)
        self._ai_said(
            event, *self._run(ai_gave_up(self.turn, event, delivery, "bug", tenants=self))
        )

    # Tools

    @precondition(lambda self: self.to_tools)
    @rule(gives=st.sampled_from(GIVES), dies=st.booleans())
    def the_tools_run(self, gives: ToolReturned | Exception, *, dies: bool) -> None:
        if not self.to_tools:
            return
        call = self.to_tools[0]
        self.orders.script = self.looks.script = (gives,)
        clock = HandClock(self.talk.now)
        after, effects = self._run(
            tools(
                self.calls,
                call,
                OneDelivery(source=self._place(call), now_ms=self.talk.now),
                toolbox=self.toolbox,
                claims=self.claims,
                clock=clock,
                tenants=self,
                sleep=clock.sleep,
            )
        )
        if not dies:
            self.to_tools.popleft()
            self._tools_said(call, after, effects)

    def _tools_said(self, call: Event, after: ToolCalls, effects: tuple[Event, ...]) -> None:
        self.calls = after
        self.read.append(call)
        for each in effects:
            assert isinstance(each, ToolCallCompleted)
            self.completed[each.call_id] += 1
            assert self.completed[each.call_id] == 1
            self.results.append(each)

    @precondition(lambda self: self.to_tools)
    @rule()
    def the_tools_give_up(self) -> None:
        call = self.to_tools.popleft()
        delivery = OneDelivery(source=self._place(call), now_ms=self.talk.now)
        given_up = tools_gave_up(self.calls, call, delivery, "bug", toolbox=self.toolbox)
        self._tools_said(call, *self._run(given_up))

    @precondition(lambda self: self.read)
    @rule(data=st.data())
    def something_is_read_again(self, data: st.DataObject) -> None:
        event = data.draw(st.sampled_from(self.read[-5:]))
        if isinstance(event, ToolCallRequested):
            self.to_tools.appendleft(event)
            self.the_tools_run(GIVES[0], dies=False)
        else:
            queue: deque[Any] = deque([event])
            self._ai(queue)

    # What must be true

    def _run(self, handling: Any) -> Any:
        return asyncio.run(handling)

    def _place(self, event: Event) -> Position:
        self.offset += 1
        return Position(topic=event.event, partition=0, offset=self.offset)

    def teardown(self) -> None:
        if self.talk.state is None:
            return
        for _ in range(1000):
            if not self._goes_on():
                break
        else:
            raise AssertionError("it never comes to rest")
        assert self.talk.it.turn is None
        assert self.talk.it.pending == ()
        assert self.talk.outcomes.keys() == set(self.received)
        assert self.ended.keys() == self.started.keys()
        assert self.turn is None or self.turn.running is None
        ran = [caller.call_id for caller, _ in self.orders.runs]
        assert len(ran) == len(set(ran)), "nothing is done twice"
        told = {call for end in self.ended.values() for call in end.side_effects}
        assert self._done() <= told, "nothing is done in secret"

    def _done(self) -> set[str]:
        """Return the calls that have done something, or may have."""
        return {caller.call_id for caller, _ in self.orders.runs if not self._refused(caller)}

    def _refused(self, caller: Any) -> bool:
        stored = self.claims.rows.get(("tool", caller.call_id, 1))
        return stored is not None and '"ok": false' in stored

    def _goes_on(self) -> bool:
        moves: tuple[tuple[Any, Callable[[], None]], ...] = (
            (self.to_ai, lambda: self._ai(self.to_ai)),
            (self.to_tools, lambda: self.the_tools_run(GIVES[0], dies=False)),
            (self.results, lambda: self._ai(self.results)),
            (self.responses, self.dispatch_hears_of_an_end),
            (self.talk.it.timers, self._next_timer),
        )
        for waits, move in moves:
            if waits:
                move()
                return True
        return False

    def _next_timer(self) -> None:
        timers = self.talk.it.timers
        self.talk.fire(min(timers, key=timers.__getitem__))
        self.heard()


TestTurn = TurnMachine.TestCase
TestTurn.settings = machine(100)
