"""Whatever happens in whatever order: the laws of dispatch hold.

``Talk`` judges each step; here the events are drawn at random, and at the end everything
is let come to rest.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from schemas.changing import replace
from schemas.events import (
    Author,
    BubbleState,
    Command,
    Event,
    MessageKind,
    MessageReceived,
    OutboundRequested,
    Phase,
    ReplyOrigin,
    ResponseOutcome,
)
from tests.agents.dispatch.talk import SETTINGS, Talk, message, with_settings
from tests.agents.laws import machine

TEXTS = st.sampled_from(
    ("oi", "quanto custa?", "cadê meu pedido", "atendente", "", "x" * 5000, None, "😀" * 900)
)
KINDS = st.sampled_from(
    (*[MessageKind.TEXT] * 6, MessageKind.AUDIO, MessageKind.REACTION, MessageKind.UNSUPPORTED)
)
TAGS = ("humano", "vip", "outro")
PEOPLE = with_settings(
    version=11, handoff_minutes=1, human_silence_minutes=2, takeover_tags=TAGS[:2]
)
ENDS = st.sampled_from(tuple(ResponseOutcome))
AGENTS = st.sampled_from((None, "human", "sales", "support", "triage", "nobody"))


class Dispatch(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.talk = Talk()
        self.received: list[str] = []

    @rule(text=TEXTS, kind=KINDS, answerable=st.sampled_from((True, True, True, False)))
    def a_message_comes(self, text: str | None, kind: MessageKind, answerable: bool) -> None:
        wamid = f"wamid.{len(self.received)}"
        self.received.append(wamid)
        self.talk.hear(wamid, text, kind=kind, answerable=answerable)

    @rule(count=st.sampled_from((2, 3, 4, 55)))
    def many_messages_come(self, count: int) -> None:
        for _ in range(count):
            self.a_message_comes("mais uma", MessageKind.TEXT, answerable=True)

    @rule(data=st.data(), kind=st.sampled_from((MessageKind.EDIT, MessageKind.REVOKE)))
    def a_message_is_changed(self, data: st.DataObject, kind: MessageKind) -> None:
        to_come = f"wamid.{len(self.received) + 1}"
        target = data.draw(st.sampled_from((*self.received, to_come)))
        wamid = f"wamid.{len(self.received)}"
        self.received.append(wamid)
        self.talk.hear(wamid, "quis dizer outra coisa", kind=kind, target_wamid=target)

    @precondition(lambda self: self.talk.history)
    @rule(data=st.data())
    def any_event_is_delivered_again(self, data: st.DataObject) -> None:
        event: Event = data.draw(st.sampled_from(self.talk.history))
        decided = self.talk.apply(event)

        if isinstance(event, MessageReceived):
            assert decided.decision == "duplicate_ignored"

    @rule(seconds=st.integers(0, 200))
    def time_passes(self, seconds: int) -> None:
        self.talk.now += seconds * 1000

    @precondition(lambda self: self.talk.state and self.talk.state.timers)
    @rule(data=st.data())
    def a_timer_fires(self, data: st.DataObject) -> None:
        self.talk.fire(data.draw(st.sampled_from(sorted(self.talk.it.timers))))

    @precondition(lambda self: self.talk.started)
    @rule(data=st.data(), outcome=ENDS, to=AGENTS, bubbles=st.integers(0, 20))
    def a_turn_ends(
        self, data: st.DataObject, outcome: ResponseOutcome, to: str | None, bubbles: int
    ) -> None:
        turn = data.draw(st.sampled_from(self.talk.started))
        self.talk.respond(
            *["resposta"] * bubbles,
            turn=turn,
            outcome=outcome,
            handoff_to=to,
            side_effects=data.draw(st.sampled_from(((), ("call",)))),
        )

    @rule(command=st.sampled_from(tuple(Command)), minutes=st.none() | st.integers(-5, 5))
    def a_person_asks(self, command: Command, minutes: int | None) -> None:
        until = None if minutes is None else self.talk.now + minutes * 60_000
        self.talk.control(command, until=until)

    @rule(command=st.sampled_from((Command.TAG, Command.UNTAG)), tag=st.sampled_from(TAGS))
    def a_tag_changes(self, command: Command, tag: str) -> None:
        self.talk.control(command, tag=tag)

    @rule(text=TEXTS, origin=st.sampled_from((ReplyOrigin.CONSOLE, ReplyOrigin.PHONE_APP)))
    def a_person_replies(self, text: str | None, origin: ReplyOrigin) -> None:
        self.talk.reply(text, origin)

    @precondition(lambda self: any(isinstance(e, OutboundRequested) for e in self.talk.said))
    @rule(data=st.data(), state=st.sampled_from(tuple(BubbleState)))
    def a_bubble_settles(self, data: st.DataObject, state: BubbleState) -> None:
        asked = [each for each in self.talk.said if isinstance(each, OutboundRequested)]
        self.talk.settle(data.draw(st.sampled_from(asked)), state)

    @rule(
        new=st.sampled_from(
            (
                SETTINGS,
                with_settings(version=8, ai_enabled=False),
                with_settings(version=9, burst_quiet_ms=0),
                with_settings(version=10, burst_quiet_ms=-1, burst_max_ms=-1, handoff_words=()),
                PEOPLE,
                replace(PEOPLE, version=12, handoff_returns=False),
                replace(PEOPLE, version=13, takeover_tags=(), ai_enabled=False),
                None,
            )
        )
    )
    def the_settings_change(self, new: object) -> None:
        self.talk.settings = new  # type: ignore[assignment]  # drawn from a mixed tuple

    @invariant()
    def nothing_waits_while_a_person_has_the_conversation(self) -> None:
        state = self.talk.state
        if state and state.owner == "human":
            assert state.turn is None
            # What waits there waits for the AI to come back, or for the person to answer.
            assert not state.pending or {"handoff", "return"} & state.timers.keys()

    @invariant()
    def only_people_have_what_a_tag_holds(self) -> None:
        state = self.talk.state
        if state and state.tags:
            assert state.phase in (Phase.WITH_HUMAN, Phase.PAUSED, Phase.PARKED)
            assert "return" not in state.timers

    def teardown(self) -> None:
        if self.talk.state is None:
            return
        self.talk.until_quiet()

        assert self.talk.outcomes.keys() == set(self.received)


TestDispatch = Dispatch.TestCase
TestDispatch.settings = machine(60)


def test_the_same_conversation_told_twice_is_the_same_byte_for_byte() -> None:
    first, second = Talk(), Talk()
    for talk in (first, second):
        talk.hear("w1", "quanto custa?")
        talk.fire("burst")
        talk.hear("w2", "o azul")
        talk.respond(outcome=ResponseOutcome.CANCELLED)
        talk.until_quiet()

    assert first.said == second.said
    assert first.state == second.state


def test_a_hot_conversation_stays_small() -> None:
    talk = Talk()
    talk.settings = replace(SETTINGS, handoff_words=())

    for number in range(1000):
        talk.now += 700
        talk.apply(message(f"w{number}", "preço? " * 500, talk.now))
        if number % 100 == 99:
            talk.until_quiet()

    talk.until_quiet()
    assert len(talk.outcomes) == 1000
    assert all(each.author is not Author.UNKNOWN for each in talk.of(OutboundRequested))
