"""Dispatch, the gate and an AI together, whatever comes between: every message comes to its end.

``Talk`` and ``Desk`` judge each of their own steps. Here what one says reaches the other late, in
the order of each topic and in any order between them.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from agents.core.gate_plan import plan
from agents.ports import Accepted, NotSent, Refused, Unknown, Withheld
from schemas.changing import replace
from schemas.events import (
    Author,
    BubbleState,
    Command,
    ConversationChanged,
    DeliveryStatus,
    Event,
    HandoffRequested,
    MessageKind,
    OutboundKind,
    OutboundRequested,
    OutboundSettled,
    Phase,
    Position,
    ReplyOrigin,
    ResponseOutcome,
    TurnKind,
)
from tests.agents.dispatch.talk import Talk, with_settings
from tests.agents.outbound.desk import Answer, Desk, status

TENANT = with_settings(
    version=21, handoff_minutes=1, human_silence_minutes=2, takeover_tags=("humano",)
)
SETTINGS = (
    TENANT,
    replace(TENANT, version=22, ai_enabled=False),
    replace(TENANT, version=23, burst_quiet_ms=0),
    replace(TENANT, version=24, handoff_returns=False, delivered_wait_ms=0),
    replace(TENANT, version=25, handoff_minutes=0, human_silence_minutes=0),
)
ANSWERS: st.SearchStrategy[Answer] = st.sampled_from(
    (
        Accepted(wamid="later"),
        Accepted(wamid="later"),
        Accepted(wamid="later"),
        Refused(code=131056, status=400),
        Refused(code=131026, status=400),
        Refused(code=131047, status=400),
        Refused(code=190, status=401),
        Refused(code=0, status=503),
        Unknown(reason="timeout"),
        NotSent(reason="unreachable"),
        Withheld(reason="number_rate"),
        Withheld(reason="auth"),
        Withheld(reason="account"),
    )
)
TEXTS = st.sampled_from(("oi", "quanto custa?", "atendente", "", None))
ENDS = st.sampled_from((ResponseOutcome.ANSWERED, *ResponseOutcome))
PEOPLE = (Command.TAKEOVER, Command.RELEASE, Command.PAUSE, Command.CLOSE, Command.UNPARK)
WITH_AI = (Phase.GATHERING, Phase.THINKING)


class Whole(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.talk = Talk(TENANT)
        self.desk = Desk(TENANT)
        self.desk.settings = TENANT
        self.received: list[str] = []
        self.to_gate: deque[OutboundRequested] = deque()
        self.settled: deque[OutboundSettled] = deque()
        self.turns: dict[str, HandoffRequested] = {}
        self.asked: dict[str, OutboundRequested] = {}
        self.ends: dict[str, OutboundSettled] = {}
        self.silences: list[int] = []
        self.bar = 0
        self.answer: Answer = Accepted(wamid="later")

    # Moving what is said

    def heard(self) -> None:
        now = max(self.talk.now, self.desk.now)
        self.talk.now = self.desk.now = now
        changed = self.talk.effects[-1]
        assert isinstance(changed, ConversationChanged)
        for each in self.talk.effects:
            if isinstance(each, OutboundRequested):
                self.to_gate.append(each)
                if each.kind is OutboundKind.MESSAGE:
                    self.asked[each.bubble_id] = each
                    if each.author is Author.AI:
                        assert changed.phase_before in WITH_AI
                elif each.kind is OutboundKind.MARKER and self.talk.it.silenced:
                    self.silences.append(each.epoch)
                    self.bar = max(self.bar, self.talk.it.epoch)
            elif isinstance(each, HandoffRequested) and each.to_agent != "human":
                self.turns[each.turn_id] = each
        if changed.decision == "handed_over":
            calls = self.talk.of(HandoffRequested)
            assert any(c.to_agent == "human" and c.kind is TurnKind.START for c in calls)

    def gate(self, event: Event, answer: Answer | None = None) -> None:
        answer = answer or self.answer
        source = Position(topic=event.event, partition=3, offset=self.desk.offset + 1)
        planned = plan(
            self.desk.state, event, source=source, now_ms=self.desk.now, settings=self.desk.settings
        )
        if planned.bubble is not None:
            bubble = planned.bubble
            if bubble.author is Author.AI and bubble.epoch < self.bar:
                answer = Withheld(reason="taken_over")
            elif isinstance(answer, Accepted):
                answer = Accepted(wamid=f"wamid.{bubble.bubble_id}")
        self.desk.apply(event, answer)
        self.told()

    def told(self) -> None:
        for each in self.desk.of(OutboundSettled):
            self.settled.append(each)
            if each.kind is OutboundKind.MESSAGE:
                assert each.bubble_id not in self.ends
                self.ends[each.bubble_id] = each
        now = max(self.talk.now, self.desk.now)
        self.talk.now = self.desk.now = now

    # What may happen

    @rule(text=TEXTS, count=st.sampled_from((1, 1, 1, 2, 4, 52)), again=st.booleans())
    def the_customer_writes(self, text: str | None, count: int, again: bool) -> None:
        for _ in range(count):
            wamid = f"wamid.in.{len(self.received)}"
            self.received.append(wamid)
            self.talk.hear(wamid, text)
            self.heard()
        if again:
            assert self.talk.hear(self.received[-1], text).decision == "duplicate_ignored"
            self.heard()

    @rule(posted=st.integers(0, 3), answer=ANSWERS, asks=st.booleans())
    def the_customer_is_answered(self, posted: int, answer: Answer, asks: bool) -> None:
        self.the_customer_writes("quanto custa?", 1, again=False)
        if self.talk.it.timers.get("burst"):
            self.talk.fire("burst")
            self.heard()
        running = self.talk.it.turn
        if running is not None and not running.cancelled:
            self.talk.respond("R$ 10", "à vista", turn=self.turns[running.turn_id])
            self.heard()
        self.the_gate_goes_on(posted, answer)
        if asks:
            self.the_customer_writes("atendente", 1, again=False)

    @precondition(lambda self: self.received)
    @rule(data=st.data(), kind=st.sampled_from((MessageKind.EDIT, MessageKind.REVOKE)))
    def a_message_is_changed(self, data: st.DataObject, kind: MessageKind) -> None:
        target = data.draw(st.sampled_from(self.received[-5:]))
        wamid = f"wamid.in.{len(self.received)}"
        self.received.append(wamid)
        self.talk.hear(wamid, "o azul", kind=kind, target_wamid=target)
        self.heard()

    @rule(command=st.sampled_from(PEOPLE), minutes=st.none() | st.integers(-1, 5))
    def a_person_asks(self, command: Command, minutes: int | None) -> None:
        until = None if minutes is None else self.talk.now + minutes * 60_000
        self.talk.control(command, until=until)
        self.heard()

    @rule(command=st.sampled_from((Command.TAG, Command.UNTAG)))
    def a_tag_changes(self, command: Command) -> None:
        self.talk.control(command, tag="humano")
        self.heard()

    @rule(origin=st.sampled_from((ReplyOrigin.CONSOLE, ReplyOrigin.PHONE_APP)))
    def a_person_replies(self, origin: ReplyOrigin) -> None:
        self.talk.reply("sou a Ana", origin)
        self.heard()

    @precondition(lambda self: self.turns)
    @rule(data=st.data(), outcome=ENDS, bubbles=st.integers(0, 3))
    def a_turn_ends(self, data: st.DataObject, outcome: ResponseOutcome, bubbles: int) -> None:
        turn = self.turns[data.draw(st.sampled_from(sorted(self.turns)))]
        effects = data.draw(st.sampled_from(((), (), ("call",))))
        to = data.draw(st.sampled_from((None, "human", "sales", "support")))
        self.talk.respond(
            *("R$ 10" for _ in range(bubbles)),
            turn=turn,
            outcome=outcome,
            handoff_to=to,
            side_effects=effects,
        )
        self.heard()

    @precondition(lambda self: self.talk.state and self.talk.state.timers)
    @rule(data=st.data())
    def a_timer_of_dispatch_fires(self, data: st.DataObject) -> None:
        self.talk.fire(data.draw(st.sampled_from(sorted(self.talk.it.timers))))
        self.heard()

    @precondition(lambda self: self.settled)
    @rule(count=st.integers(1, 5))
    def dispatch_hears_of_bubbles(self, count: int) -> None:
        for _ in range(min(count, len(self.settled))):
            self.talk.apply(self.settled.popleft())
            self.heard()

    @precondition(lambda self: self.to_gate)
    @rule(count=st.integers(1, 5), answer=ANSWERS)
    def the_gate_goes_on(self, count: int, answer: Answer) -> None:
        for _ in range(min(count, len(self.to_gate))):
            self.gate(self.to_gate.popleft(), answer)

    @precondition(lambda self: self.desk.state and self.desk.state.timers)
    @rule(data=st.data(), answer=ANSWERS)
    def a_timer_of_the_gate_fires(self, data: st.DataObject, answer: Answer) -> None:
        self._fire_gate(data.draw(st.sampled_from(sorted(self.desk.it.timers))), answer)

    def _fire_gate(self, timer: str, answer: Answer) -> None:
        self.desk.now = max(self.desk.now, self.desk.it.timers[timer])
        self.gate(self.desk.fired(timer), answer)

    @precondition(lambda self: self.desk.asked)
    @rule(data=st.data(), name=st.sampled_from(tuple(DeliveryStatus)), answer=ANSWERS)
    def a_status_comes(self, data: st.DataObject, name: DeliveryStatus, answer: Answer) -> None:
        asked = data.draw(st.sampled_from(self.desk.asked))
        self.gate(status(name, asked.bubble_id, self.desk.now), answer)

    @precondition(lambda self: self.to_gate)
    @rule()
    def the_gate_gives_up(self) -> None:
        self.desk.give_up(self.to_gate.popleft())
        self.told()

    @rule(seconds=st.sampled_from((1, 30, 3600, 90_000)))
    def time_passes(self, seconds: int) -> None:
        self.talk.now += seconds * 1000
        self.desk.now = self.talk.now

    @rule(new=st.sampled_from(SETTINGS))
    def the_settings_change(self, new: Any) -> None:
        self.talk.settings = self.desk.settings = new

    # What must be true in the end

    def teardown(self) -> None:
        if self.talk.state is None:
            return
        for _ in range(2000):
            if not self._goes_on():
                break
        else:
            raise AssertionError("it never comes to rest")
        state = self.talk.it
        assert self.talk.outcomes.keys() == set(self.received)
        assert state.timers == {}
        assert state.turn is None
        assert state.pending == ()
        assert state.marker_id is None
        assert state.awaiting == ()
        assert self.ends.keys() == self.asked.keys()
        for bubble_id, end in self.ends.items():
            if end.state is BubbleState.DROPPED:
                self._dropped(end, self.asked[bubble_id])

    def _goes_on(self) -> bool:
        if self.to_gate:
            self.gate(self.to_gate.popleft())
        elif self.settled:
            self.talk.apply(self.settled.popleft())
            self.heard()
        else:
            mine, theirs = self.talk.it.timers, self.desk.it.timers if self.desk.state else {}
            due = [(at, 0, name) for name, at in mine.items()]
            due += [(at, 1, name) for name, at in theirs.items()]
            if not due:
                return False
            _, whose, name = min(due)
            if whose:
                self._fire_gate(name, self.answer)
            else:
                self.talk.fire(name)
                self.heard()
        return True

    def _dropped(self, end: OutboundSettled, asked: OutboundRequested) -> None:
        """What the AI said is dropped after somebody silenced it, what others said never."""
        assert asked.author is Author.AI
        if end.reason not in ("part_failed", "ai_disabled"):
            assert any(epoch > asked.epoch for epoch in self.silences), end.reason


TestWhole = Whole.TestCase
TestWhole.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
