"""Dispatch, the gate and an AI together, whatever comes between: every message comes to its end.

Most of what is drawn are scenes: an answer that waits at the gate, somebody who comes between,
and what ends that. Faults are in what meets, and single events seldom meet.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from agents.core.person_call import call_person
from agents.ports import Withheld
from schemas.changing import replace
from schemas.events import (
    Command,
    DeliveryStatus,
    Event,
    MessageKind,
    Phase,
    ReplyOrigin,
    ResponseOutcome,
)
from tests.agents.dispatch.talk import message, with_settings
from tests.agents.laws import machine
from tests.agents.outbound.desk import ANSWERS, Answer, status
from tests.agents.whole import TAKEN, Whole

TENANT = with_settings(
    version=21, handoff_minutes=1, human_silence_minutes=2, takeover_tags=("humano",)
)
KILLED = replace(TENANT, version=22, ai_enabled=False)
SETTINGS = (
    TENANT,
    TENANT,
    KILLED,
    replace(TENANT, version=23, burst_quiet_ms=0),
    replace(TENANT, version=24, handoff_returns=False, delivered_wait_ms=0),
    replace(TENANT, version=25, handoff_minutes=0, human_silence_minutes=0),
    replace(TENANT, version=26, window_template="retomar", window_template_language="pt_BR"),
)
RECEIPTS: st.SearchStrategy[Answer] = st.sampled_from((*[TAKEN] * 5, *ANSWERS))
STOPS = st.sampled_from(("auth", "account", "number_rate"))
TEXTS = st.sampled_from(("oi", "quanto custa?", "atendente", "", None))
ENDS = st.sampled_from((*[ResponseOutcome.ANSWERED] * 3, *ResponseOutcome))
PEOPLE = (Command.TAKEOVER, Command.RELEASE, Command.PAUSE, Command.CLOSE, Command.UNPARK)
UNTIL = st.sampled_from((None, None, -1, 1, 240))
HOUR_MS: Final = 3_600_000

PEOPLE_COME = ("takes", "replies", "echo", "tag", "pause", "close")
"""Who silences the AI while an answer of it waits at the gate."""
HANDS_OVER = ("asks", "asks", "fails", "kill", "flood")
"""What gives the conversation to people meanwhile."""
ENDING = ("timer", "timer", "release", "untag", "redo", "nothing")
"""What ends that."""


class WholeMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.whole = Whole(TENANT)
        self.talk, self.desk = self.whole.talk, self.whole.desk
        self.received: list[str] = []

    # Scenes

    @rule(
        posted=st.integers(0, 2),
        receipt=RECEIPTS,
        who=st.sampled_from(PEOPLE_COME),
        ending=st.sampled_from(ENDING),
        heard=st.integers(0, 2),
    )
    def a_person_comes_between(
        self, *, posted: int, receipt: Answer, who: str, ending: str, heard: int
    ) -> None:
        self.the_customer_is_answered(posted, receipt)
        match who:
            case "takes":
                self.a_person_asks(Command.TAKEOVER, None)
            case "pause" | "close":
                self.a_person_asks(Command(who), 1)
            case "tag":
                self.a_tag_changes(Command.TAG)
            case _:
                echo = ReplyOrigin.PHONE_APP if who == "echo" else ReplyOrigin.CONSOLE
                self.a_person_replies(echo)
        self._goes_on(heard, receipt, ending)

    @rule(
        posted=st.integers(0, 2),
        receipt=RECEIPTS,
        what=st.sampled_from(HANDS_OVER),
        ending=st.sampled_from(ENDING),
        heard=st.integers(0, 2),
    )
    def it_is_handed_over_between(
        self, *, posted: int, receipt: Answer, what: str, ending: str, heard: int
    ) -> None:
        self.the_customer_is_answered(posted, receipt)
        match what:
            case "asks":
                self.the_customer_writes("atendente", again=False)
            case "kill":
                self.the_settings_change(KILLED)
            case "flood":
                self.many_messages_come()
            case _:
                self._a_turn_fails()
        self._goes_on(heard, receipt, ending)

    @rule(posted=st.integers(0, 2), receipt=RECEIPTS, heard=st.integers(0, 2))
    def the_customer_writes_between(self, posted: int, receipt: Answer, heard: int) -> None:
        self.the_customer_is_answered(posted, receipt)
        self.the_customer_is_answered(heard, receipt)
        self._hear(heard)

    @rule(receipt=RECEIPTS, who=st.sampled_from(("takes", "kill", "closes", "nobody")))
    def the_gate_dies_between(self, receipt: Answer, who: str) -> None:
        """It has posted, and nobody has written that down."""
        self.the_customer_is_answered(0, receipt)
        if not self.whole.to_gate:
            return
        self.whole.lose(self.whole.to_gate[0], receipt)
        match who:
            case "takes":
                self.a_person_asks(Command.TAKEOVER, None)
            case "kill":
                self.the_settings_change(KILLED)
            case "closes":
                self.time_passes(86_000_000)
            case _:
                pass
        self._gate(2, receipt)

    @rule(posted=st.integers(0, 2), receipt=RECEIPTS)
    def the_customer_is_answered(self, posted: int, receipt: Answer) -> None:
        self._is_with_the_ai()
        self._asks()
        running = self.talk.it.turn
        if running is not None and not running.cancelled:
            turn = self.whole.turns[running.turn_id]
            self.talk.respond("R$ 10", "à vista", turn=turn)
            self.whole.heard()
        self._gate(posted, receipt)

    def _is_with_the_ai(self) -> None:
        """Whatever was before: most scenes begin with an answer."""
        if self.talk.state is None:
            return
        self.the_settings_change(TENANT)
        while self.talk.aside:
            self.whole.come_back()
        if self.talk.it.phase is Phase.PARKED:
            self.a_person_asks(Command.UNPARK, None)
        if self.talk.it.phase in (Phase.WITH_HUMAN, Phase.PAUSED):
            self.a_person_asks(Command.RELEASE, None)

    def _asks(self) -> None:
        self.the_customer_writes("quanto custa?", again=False)
        if "burst" in self.talk.it.timers and not self.talk.aside:
            self.whole.fire("burst")

    def _a_turn_fails(self) -> None:
        self._asks()
        running = self.talk.it.turn
        if running is not None:
            turn = self.whole.turns[running.turn_id]
            self.talk.respond(turn=turn, outcome=ResponseOutcome.FAILED)
            self.whole.heard()

    def _goes_on(self, heard: int, receipt: Answer, ending: str) -> None:
        self._gate(heard, receipt)
        self._hear(heard)
        timers = self.talk.it.timers
        match ending:
            case "timer" if timers and not self.talk.aside:
                self.whole.fire(min(timers, key=timers.__getitem__))
            case "release":
                self.a_person_asks(Command.RELEASE, None)
            case "untag":
                self.a_tag_changes(Command.UNTAG)
            case "redo":
                self.the_settings_change(TENANT)
            case _:
                pass

    def _gate(self, count: int, receipt: Answer) -> None:
        for _ in range(min(count, len(self.whole.to_gate))):
            self.whole.gate(self.whole.to_gate.popleft(), receipt)

    def _hear(self, count: int) -> None:
        for _ in range(min(count, len(self.whole.settled))):
            self.whole.hear_settled()

    # The customer

    @rule(text=TEXTS, again=st.booleans())
    def the_customer_writes(self, text: str | None, *, again: bool) -> None:
        wamid = self._wamid()
        self.talk.hear(wamid, text)
        self.whole.heard()
        if again:
            self.talk.hear(wamid, text)
            self.whole.heard()

    def many_messages_come(self) -> None:
        for _ in range(52):
            self.the_customer_writes("mais uma", again=False)

    @rule(data=st.data(), kind=st.sampled_from((MessageKind.EDIT, MessageKind.REVOKE)))
    def a_message_is_changed(self, data: st.DataObject, kind: MessageKind) -> None:
        to_come = f"wamid.in.{len(self.received) + 1}"
        target = data.draw(st.sampled_from((*self.received[-4:], to_come)))
        self.talk.hear(self._wamid(), "o azul", kind=kind, target_wamid=target)
        self.whole.heard()

    def _wamid(self) -> str:
        self.received.append(f"wamid.in.{len(self.received)}")
        return self.received[-1]

    # People

    @rule(command=st.sampled_from(PEOPLE), minutes=UNTIL)
    def a_person_asks(self, command: Command, minutes: int | None) -> None:
        until = None if minutes is None else self.talk.now + minutes * 60_000
        self.talk.control(command, until=until)
        self.whole.heard()

    @rule(command=st.sampled_from((Command.TAG, Command.UNTAG)))
    def a_tag_changes(self, command: Command) -> None:
        self.talk.control(command, tag="humano")
        self.whole.heard()

    @rule(origin=st.sampled_from((ReplyOrigin.CONSOLE, ReplyOrigin.PHONE_APP)))
    def a_person_replies(self, origin: ReplyOrigin) -> None:
        self.talk.reply("sou a Ana", origin)
        self.whole.heard()

    @rule(new=st.sampled_from(SETTINGS))
    def the_settings_change(self, new: Any) -> None:
        self.talk.settings = self.desk.settings = new

    @precondition(lambda self: self.talk.state)
    @rule()
    def a_takeover_is_written_down_and_not_decided(self) -> None:
        self.whole.write_takeover()

    # The AI

    @precondition(lambda self: self.whole.turns)
    @rule(
        newest=st.booleans(),
        outcome=ENDS,
        bubbles=st.integers(0, 3),
        effects=st.sampled_from(((), (), ("call",))),
        to=st.sampled_from((None, "human", "sales", "support")),
        data=st.data(),
    )
    def a_turn_ends(
        self,
        *,
        newest: bool,
        outcome: ResponseOutcome,
        bubbles: int,
        effects: tuple[str, ...],
        to: str | None,
        data: st.DataObject,
    ) -> None:
        known = list(self.whole.turns)
        turn = known[-1] if newest else data.draw(st.sampled_from(known))
        self.talk.respond(
            *["R$ 10"] * bubbles,
            turn=self.whole.turns[turn],
            outcome=outcome,
            handoff_to=to,
            side_effects=effects,
        )
        self.whole.heard()

    # Time, and what is on its way

    @precondition(lambda self: self.talk.state and self.talk.state.timers and not self.talk.aside)
    @rule(data=st.data(), early=st.booleans())
    def a_timer_of_dispatch_fires(self, data: st.DataObject, *, early: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.talk.it.timers)))
        self.whole.fire(name, early=early and name != "pause")

    @precondition(lambda self: self.whole.settled)
    @rule(count=st.integers(1, 5))
    def dispatch_hears_of_bubbles(self, count: int) -> None:
        self._hear(count)

    @precondition(lambda self: self.whole.to_gate)
    @rule(count=st.integers(1, 5), receipt=RECEIPTS)
    def the_gate_goes_on(self, count: int, receipt: Answer) -> None:
        self._gate(count, receipt)

    @precondition(lambda self: self.desk.state and self.desk.state.timers)
    @rule(data=st.data(), receipt=RECEIPTS, early=st.booleans())
    def a_timer_of_the_gate_fires(
        self, data: st.DataObject, receipt: Answer, *, early: bool
    ) -> None:
        name = data.draw(st.sampled_from(sorted(self.desk.it.timers)))
        self.whole.fire_gate(name, receipt, early=early and name.startswith(("rate:", "held:")))

    @precondition(lambda self: self.desk.state and self.desk.state.timers)
    @rule(data=st.data(), receipt=RECEIPTS)
    def the_gate_dies_at_a_timer(self, data: st.DataObject, receipt: Answer) -> None:
        name = data.draw(st.sampled_from(sorted(self.desk.it.timers)))
        self.desk.now = max(self.desk.now, self.desk.it.timers[name])
        self.whole.lose(self.desk.fired(name), receipt)

    @precondition(lambda self: self.desk.attempts)
    @rule(data=st.data(), name=st.sampled_from(tuple(DeliveryStatus)), receipt=RECEIPTS)
    def a_status_comes(self, data: st.DataObject, name: DeliveryStatus, receipt: Answer) -> None:
        bubble_id, _ = data.draw(st.sampled_from(sorted(self.desk.attempts)))
        self.whole.gate(status(name, bubble_id, self.desk.now), receipt)

    @rule(reason=STOPS, stops=st.booleans())
    def a_number_stops_or_goes_on(self, reason: str, *, stops: bool) -> None:
        self.whole.stopped = Withheld(reason=reason) if stops else None

    @rule(ms=st.sampled_from((2_000, 90_000, 86_000_000)))
    def time_passes(self, ms: int) -> None:
        self.whole.now += ms
        self.whole.clocks()

    # Faults

    @rule(talk=st.booleans(), desk=st.booleans())
    def a_clock_is_ahead_or_right_again(self, *, talk: bool, desk: bool) -> None:
        self.whole.talk_ahead, self.whole.desk_ahead = talk * HOUR_MS, desk * HOUR_MS
        self.desk.clock_right = self.desk.clock_right and not desk
        self.whole.clocks()

    @precondition(lambda self: self.whole.to_gate)
    @rule()
    def the_gate_gives_up(self) -> None:
        self.desk.give_up(self.whole.to_gate.popleft())
        self.whole.told()

    @precondition(lambda self: not self.talk.aside)
    @rule(data=st.data())
    def dispatch_gives_up(self, data: st.DataObject) -> None:
        timers = sorted(self.talk.state.timers) if self.talk.state else []
        what = data.draw(st.sampled_from(["a message", *["a bubble"] * 3, *timers]))
        if what == "a message":
            self.talk.give_up(message(self._wamid(), "oi", self.talk.now))
        elif what != "a bubble":
            self.talk.now = max(self.talk.now, self.talk.it.timers[what])
            self.talk.give_up(self.talk.fired(what))
        elif self.whole.settled:
            self.talk.give_up(self.whole.settled.popleft())
        else:
            return
        self.whole.heard()

    @precondition(lambda self: self.talk.aside)
    @rule(count=st.integers(1, 4), drops=st.booleans())
    def what_was_set_aside_comes_back(self, count: int, *, drops: bool) -> None:
        for _ in range(min(count, len(self.talk.aside))):
            if drops:
                self.talk.drop()
                self.whole.heard()
            else:
                self.whole.come_back()

    @precondition(lambda self: self.talk.history)
    @rule(data=st.data())
    def dispatch_reads_something_again(self, data: st.DataObject) -> None:
        self.talk.apply(data.draw(st.sampled_from(self.talk.history[-6:])))
        self.whole.heard()

    @precondition(lambda self: self.desk.asked)
    @rule(data=st.data(), receipt=RECEIPTS)
    def the_gate_reads_something_again(self, data: st.DataObject, receipt: Answer) -> None:
        event: Event = data.draw(st.sampled_from(self.desk.asked[-6:]))
        self.whole.gate(event, receipt)

    @precondition(lambda self: self.talk.history)
    @rule()
    def another_stage_parks_the_conversation(self) -> None:
        parking_id = f"parking-{self.talk.offset}"
        event = self.talk.history[-1]
        call = call_person(event, stage="ai", parking_id=parking_id, now_ms=self.talk.now)
        self.talk.apply(call)
        self.whole.heard()

    def teardown(self) -> None:
        if self.talk.state is not None:
            self.whole.rest()
            assert self.talk.outcomes.keys() == set(self.received)


TestWhole = WholeMachine.TestCase
TestWhole.settings = machine(100)
