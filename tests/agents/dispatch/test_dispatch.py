from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agents.core.dispatch import decide
from agents.core.dispatch_people import NOTICE
from agents.core.dispatch_turns import CANCEL_LIMIT_MS, TURN_LIMIT_MS
from agents.core.texts import BUBBLE_CHARS
from schemas.errors import Rejected
from schemas.events import (
    Author,
    BubbleState,
    Command,
    HandoffRequested,
    MemoryUpdateRequested,
    MessageKind,
    OutboundKind,
    OutboundRequested,
    Outcome,
    OutcomeKind,
    Person,
    Phase,
    Position,
    ReplyOrigin,
    ResponseOutcome,
    SettingsChanged,
    TurnKind,
)
from schemas.ids import derived
from tests.agents.dispatch.talk import MARIA, SETTINGS, T0, Talk, message, with_settings

HOUR = 3_600_000


def thinking(*texts: str, settings: SettingsChanged | None = SETTINGS) -> Talk:
    """A conversation whose turn is with the AI."""
    talk = Talk(settings)
    for number, text in enumerate(texts or ("quanto custa?",), 1):
        talk.hear(f"w{number}", text)
    talk.fire("burst")
    return talk


def with_human() -> Talk:
    talk = Talk()
    talk.hear("w1", "quero falar com um atendente")
    return talk


# Messages


def test_a_burst_is_one_turn() -> None:
    talk = Talk()
    talk.hear("w1", "oi")
    talk.now += 1000
    talk.hear("w2", "quanto custa")
    talk.now += 1000
    talk.hear("w3", "o tênis azul?")

    decided = talk.fire("burst")

    (turn,) = talk.of(HandoffRequested)
    assert decided.decision == "turn_started"
    assert turn.kind is TurnKind.START
    assert turn.to_agent == "sales"
    assert turn.reason == "intent:product"
    assert turn.wamids == ("w1", "w2", "w3")
    assert turn.question == "oi\nquanto custa\no tênis azul?"
    assert turn.trace_id == talk.history[0].trace_id
    assert turn.customer_name == "Maria"
    assert talk.it.timers == {"turn": talk.now + TURN_LIMIT_MS}


def test_each_message_extends_the_burst_but_not_beyond_its_longest_time() -> None:
    talk = Talk()
    due = []
    for number in range(8):
        talk.now = T0 + number * 1400
        talk.hear(f"w{number}", "mais")
        due.append(talk.it.timers["burst"] - T0)

    assert due == [1500, 2900, 4300, 5700, 7100, 8000, 8000, 8000]


def test_a_burst_timer_that_was_moved_is_ignored() -> None:
    talk = Talk()
    talk.hear("w1")
    first = talk.it
    talk.now += 100
    talk.hear("w2")
    moved, talk.state = talk.it, first
    timer = talk.fired("burst")
    talk.state = moved

    decided = talk.apply(timer)

    assert (decided.decision, decided.reason) == ("timer_ignored", "not_due")
    assert talk.it == replace(moved, seq=3)


def test_without_a_quiet_time_the_turn_starts_at_once() -> None:
    talk = Talk(with_settings(burst_quiet_ms=0))

    decided = talk.hear("w1", "oi")

    assert decided.decision == "turn_started"
    assert decided.phase is Phase.THINKING


def test_a_repeated_message_changes_nothing() -> None:
    talk = thinking()
    before = talk.it

    decided = talk.hear("w1", "quanto custa?")

    assert decided.decision == "duplicate_ignored"
    assert decided.outcomes == ()
    assert len(talk.effects) == 1
    assert talk.it == replace(before, seq=before.seq + 1)


def test_a_repetition_within_a_week_is_known() -> None:
    talk = thinking()
    talk.respond("R$ 10")
    talk.now += 7 * 24 * HOUR

    assert talk.hear("w1", "quanto custa?").decision == "duplicate_ignored"


def test_one_wamid_at_two_business_numbers_is_two_messages() -> None:
    talk = Talk()
    talk.hear("w1")

    decided = talk.apply(
        replace(message("w1"), phone_number_id="other", event_id=derived("another record"))
    )

    assert decided.decision == "gathering"


@pytest.mark.parametrize(
    ("kind", "text", "answerable", "reason"),
    [
        (MessageKind.REACTION, None, True, "kind:reaction"),
        (MessageKind.SYSTEM, "mudou de número", True, "kind:system"),
        (MessageKind.UNSUPPORTED, None, True, "kind:unsupported"),
        (MessageKind.UNSUPPORTED, "  ", True, "kind:unsupported"),
        (MessageKind.TEXT, "", True, "kind:text"),
        (MessageKind.UNKNOWN, None, True, "kind:unknown"),
        (MessageKind.EDIT, "quis dizer", True, "kind:edit"),
        (MessageKind.REVOKE, None, True, "kind:revoke"),
        # A history follow-up is never answered, whatever it says.
        (MessageKind.TEXT, "quanto custa?", False, "not_answerable"),
    ],
)
def test_what_wants_no_answer_is_ignored_with_a_reason(
    kind: MessageKind, text: str | None, answerable: bool, reason: str
) -> None:
    talk = Talk()

    decided = talk.hear("w1", text, kind=kind, answerable=answerable)

    assert decided.decision == "ignored"
    assert decided.outcomes == (Outcome(wamid="w1", kind=OutcomeKind.IGNORED, reason=reason),)
    assert decided.phase is Phase.IDLE
    assert decided.unread == 0


@pytest.mark.parametrize(
    ("kind", "text", "question"),
    [
        (MessageKind.AUDIO, None, "[áudio]"),
        (MessageKind.IMAGE, "serve este?", "[imagem] serve este?"),
        (MessageKind.STICKER, None, "[figurinha]"),
        (MessageKind.BUTTON, "Sim", "Sim"),
        (MessageKind.INTERACTIVE, "Tênis azul", "Tênis azul"),
        # Unsupported with words is a message like any other.
        (MessageKind.UNSUPPORTED, "olá", "olá"),
    ],
)
def test_what_has_no_words_is_named_to_the_agent(
    kind: MessageKind, text: str | None, question: str
) -> None:
    talk = Talk()
    talk.hear("w1", text, kind=kind)

    talk.fire("burst")

    assert talk.of(HandoffRequested)[0].question == question


def test_an_edit_changes_what_still_waits() -> None:
    talk = Talk()
    talk.hear("w1", "quero dois")
    talk.hear("w2", "quero três", kind=MessageKind.EDIT, target_wamid="w1")

    talk.fire("burst")

    assert talk.of(HandoffRequested)[0].question == "quero três"


def test_a_revoked_message_is_not_answered() -> None:
    talk = Talk()
    talk.hear("w1", "mensagem errada")

    decided = talk.hear("w2", None, kind=MessageKind.REVOKE, target_wamid="w1")

    assert decided.phase is Phase.IDLE
    assert decided.unread == 0
    assert {(each.wamid, each.reason) for each in decided.outcomes} == {
        ("w1", "revoked"),
        ("w2", "kind:revoke"),
    }


@pytest.mark.parametrize(
    ("sent_ago_ms", "left_ms"),
    [
        (0, 24 * HOUR),
        (2 * HOUR, 22 * HOUR),  # a late delivery: the window is shorter
        (25 * HOUR, -1 * HOUR),  # a very late one: it is closed already
        (-10 * 60_000, 24 * HOUR),  # a clock that runs ahead does not lengthen it
        (20_000 * 24 * HOUR, 24 * HOUR),  # 1970: not late, but wrong
    ],
)
def test_the_window_is_counted_from_whatsapps_time(sent_ago_ms: int, left_ms: int) -> None:
    talk = Talk()

    decided = talk.hear("w1", sent_at=T0 - sent_ago_ms)

    assert decided.window_expires_at == T0 + left_ms - 5 * 60_000


def test_an_older_message_does_not_shorten_the_window() -> None:
    talk = Talk()
    first = talk.hear("w1", sent_at=T0)

    assert talk.hear("w0", sent_at=T0 - HOUR).window_expires_at == first.window_expires_at


# Routing


@pytest.mark.parametrize(
    ("settings", "text", "reason"),
    [
        (SETTINGS, "quero falar com um atendente", "rule:wants_person"),
        (SETTINGS, "HUMANO!!", "rule:wants_person"),
        (with_settings(handoff_words=("gerência",)), "chama a gerencia", "rule:wants_person"),
        (with_settings(ai_enabled=False), "oi", "ai_disabled"),
        (None, "oi", "unknown_tenant"),
    ],
)
def test_a_person_gets_what_the_ai_must_not_answer(
    settings: SettingsChanged | None, text: str, reason: str
) -> None:
    talk = Talk(settings)

    decided = talk.hear("w1", text)

    assert (decided.decision, decided.reason) == ("handed_over", reason)
    assert (decided.phase, decided.owner) == (Phase.WITH_HUMAN, "human")
    assert decided.outcomes == (Outcome(wamid="w1", kind=OutcomeKind.HANDED, reason=reason),)
    assert decided.unread == 1
    notice = talk.of(OutboundRequested)[-1]
    assert (notice.author, notice.text, notice.recipient) == (Author.AUTOMATION, NOTICE, MARIA)
    (routed,) = talk.of(HandoffRequested)
    assert (routed.to_agent, routed.question) == ("human", text)


def test_the_customer_is_told_once_for_each_hand_over() -> None:
    talk = with_human()

    decided = talk.hear("w2", "alguém aí? atendente!")

    assert (decided.decision, decided.reason) == ("handed", "with_human")
    assert talk.of(OutboundRequested) == []
    assert decided.unread == 2


def test_without_an_intent_the_agent_that_has_the_conversation_goes_on() -> None:
    talk = thinking("quanto custa?")
    talk.respond("R$ 10")
    talk.hear("w2", "o azul")

    decided = talk.fire("burst")

    assert (decided.owner, decided.intent) == ("sales", None)
    assert talk.of(HandoffRequested)[0].from_agent == "sales"


def test_a_first_greeting_goes_to_triage() -> None:
    assert thinking("bom dia").it.owner == "triage"


# Turns


def test_an_answer_ends_the_turn() -> None:
    talk = thinking("quanto custa?", "o azul")

    decided = talk.respond("Custa R$ 10.", "Quer comprar?")

    turn_id = talk.started[0].turn_id
    assert (decided.decision, decided.phase, decided.unread) == ("answered", Phase.IDLE, 0)
    assert decided.outcomes == tuple(
        Outcome(wamid=wamid, kind=OutcomeKind.ANSWERED, reason="agent:sales", turn_id=turn_id)
        for wamid in ("w1", "w2")
    )
    first, second = talk.of(OutboundRequested)
    assert (first.text, first.ordinal, first.of) == ("Custa R$ 10.", 1, 2)
    assert (second.text, second.ordinal, second.of) == ("Quer comprar?", 2, 2)
    assert first.bubble_id == derived("bubble", turn_id, 1)
    assert {first.author, second.author} == {Author.AI}
    (memory,) = talk.of(MemoryUpdateRequested)
    assert (memory.question, memory.answer) == (
        "quanto custa?\no azul",
        "Custa R$ 10.\nQuer comprar?",
    )
    assert [(line.role, line.text) for line in talk.it.history] == [
        ("customer", "quanto custa?"),
        ("customer", "o azul"),
        ("assistant", "Custa R$ 10."),
        ("assistant", "Quer comprar?"),
    ]


def test_the_next_turn_knows_what_was_said() -> None:
    talk = thinking("quanto custa?")
    talk.respond("R$ 10")
    talk.hear("w2", "o azul")

    talk.fire("burst")

    assert [line.text for line in talk.of(HandoffRequested)[0].history] == [
        "quanto custa?",
        "R$ 10",
    ]


def test_a_long_answer_is_cut_into_bubbles() -> None:
    talk = thinking()

    talk.respond("a" * (BUBBLE_CHARS + 7))

    assert [len(text or "") for text in talk.texts] == [BUBBLE_CHARS, 7]


@pytest.mark.parametrize(
    ("outcome", "bubbles", "more", "reason"),
    [
        (ResponseOutcome.FAILED, (), {"reason": "budget"}, "failed:budget"),
        (ResponseOutcome.FAILED, (), {}, "failed"),
        (ResponseOutcome.HANDOFF, (), {"handoff_to": "human", "reason": "refund"}, "agent:refund"),
        (ResponseOutcome.HANDOFF, (), {"handoff_to": None}, "agent"),
        (ResponseOutcome.HANDOFF, (), {"handoff_to": "nobody"}, "agent"),
        # Handing to oneself would go round for ever.
        (ResponseOutcome.HANDOFF, (), {"handoff_to": "sales"}, "agent"),
        (ResponseOutcome.CANCELLED, (), {}, "cancelled"),
        (ResponseOutcome.UNKNOWN, (), {}, "unknown"),
        (ResponseOutcome.ANSWERED, (), {}, "empty_answer"),
        (ResponseOutcome.ANSWERED, ("", " \n"), {}, "empty_answer"),
        (ResponseOutcome.ANSWERED, ("a",) * 17, {}, "answer_too_long"),
    ],
)
def test_a_turn_without_an_answer_goes_to_a_person(
    outcome: ResponseOutcome, bubbles: tuple[str, ...], more: dict[str, Any], reason: str
) -> None:
    talk = thinking()

    decided = talk.respond(*bubbles, outcome=outcome, **more)

    assert (decided.phase, decided.reason) == (Phase.WITH_HUMAN, reason)
    assert decided.turn_id == talk.started[0].turn_id
    assert [(each.kind, each.turn_id) for each in decided.outcomes] == [
        (OutcomeKind.HANDED, talk.started[0].turn_id)
    ]
    assert talk.texts == [NOTICE]
    assert [each.kind for each in talk.of(HandoffRequested)] == [TurnKind.START]


def test_an_agent_hands_to_another_agent() -> None:
    talk = thinking("bom dia")

    decided = talk.respond(outcome=ResponseOutcome.HANDOFF, handoff_to="support", reason="order")

    (turn,) = talk.of(HandoffRequested)
    assert (turn.from_agent, turn.to_agent, turn.reason) == ("triage", "support", "agent:order")
    assert (turn.question, turn.wamids, turn.turn_seq) == ("bom dia", ("w1",), 2)
    assert (decided.phase, decided.outcomes) == (Phase.THINKING, ())


def test_agents_cannot_hand_to_each_other_for_ever() -> None:
    talk = thinking("bom dia")

    for agent in ("sales", "support", "sales"):
        assert talk.respond(outcome=ResponseOutcome.HANDOFF, handoff_to=agent).owner == agent

    assert talk.respond(outcome=ResponseOutcome.HANDOFF, handoff_to="triage").owner == "human"


def test_a_stuck_turn_goes_to_a_person() -> None:
    talk = thinking()

    decided = talk.fire("turn")

    assert (decided.phase, decided.reason) == (Phase.WITH_HUMAN, "turn_timeout")
    cancelled = talk.of(HandoffRequested)[0]
    assert (cancelled.kind, cancelled.epoch) == (TurnKind.CANCEL, 1)
    assert talk.respond("tarde demais").decision == "stale_response"
    assert talk.texts == []


def test_the_kill_switch_stops_an_answer_that_is_on_its_way() -> None:
    talk = thinking()
    talk.settings = with_settings(ai_enabled=False)

    decided = talk.respond("R$ 10")

    assert (decided.phase, decided.reason) == (Phase.WITH_HUMAN, "ai_disabled")
    assert [each.kind for each in talk.of(OutboundRequested)] == [
        OutboundKind.MARKER,
        OutboundKind.MESSAGE,
    ]
    assert talk.texts == [None, NOTICE]


# Supersession


def test_a_newer_message_takes_the_turn_back() -> None:
    talk = thinking("quanto custa o azul?")

    decided = talk.hear("w2", "digo, o verde")

    (cancelled,) = talk.of(HandoffRequested)
    assert (cancelled.kind, cancelled.turn_id) == (TurnKind.CANCEL, talk.started[0].turn_id)
    assert (cancelled.epoch, cancelled.reason) == (1, "superseded")
    assert (decided.decision, decided.phase) == ("superseded", Phase.GATHERING)
    assert talk.it.timers["turn"] == talk.now + CANCEL_LIMIT_MS


@pytest.mark.parametrize("burst_first", [True, False])
@pytest.mark.parametrize(
    ("outcome", "bubbles"),
    [
        (ResponseOutcome.CANCELLED, ()),
        # The answer was quicker than the cancel; it does not know the newest words.
        (ResponseOutcome.ANSWERED, ("o azul custa R$ 10",)),
        (ResponseOutcome.FAILED, ()),
    ],
)
def test_the_next_turn_has_the_words_of_both(
    burst_first: bool, outcome: ResponseOutcome, bubbles: tuple[str, ...]
) -> None:
    talk = thinking("quanto custa o azul?")
    talk.hear("w2", "digo, o verde")
    if burst_first:
        assert talk.fire("burst").decision == "waiting"
        talk.respond(*bubbles, outcome=outcome)
    else:
        decided = talk.respond(*bubbles, outcome=outcome)
        assert (decided.decision, decided.phase) == ("turn_cancelled", Phase.GATHERING)
        talk.fire("burst")

    (turn,) = talk.of(HandoffRequested)
    assert turn.wamids == ("w1", "w2")
    assert turn.question == "quanto custa o azul?\ndigo, o verde"
    assert turn.epoch == 1
    assert talk.texts == []
    assert talk.outcomes == {}


def test_a_customer_who_never_stops_is_answered_too() -> None:
    talk = thinking("um")
    for number in (2, 3):
        talk.hear(f"w{number}", "mais")
        talk.fire("burst")
        talk.respond(outcome=ResponseOutcome.CANCELLED)

    decided = talk.hear("w4", "e mais")
    answered = talk.respond("pronto")

    assert (decided.decision, decided.phase) == ("queued", Phase.THINKING)
    assert answered.decision == "answered"
    assert [each.wamid for each in answered.outcomes] == ["w1", "w2", "w3"]
    assert talk.started[-1].wamids == ("w4",)
    assert (answered.phase, answered.unread) == (Phase.THINKING, 1)


def test_the_end_of_an_older_turn_does_not_end_the_one_that_runs() -> None:
    talk = thinking()
    older = talk.started[0]
    talk.control(Command.TAKEOVER)
    talk.control(Command.RELEASE)
    talk.hear("w2", "e o verde?")
    talk.fire("burst")

    decided = talk.respond("o azul custa R$ 10", turn=older)

    assert (decided.decision, decided.phase) == ("stale_response", Phase.THINKING)
    assert talk.texts == []
    assert talk.respond("R$ 12").decision == "answered"


def test_an_answer_that_tells_of_a_side_effect_is_sent() -> None:
    talk = thinking("faz o pedido do azul")
    talk.hear("w2", "obrigada")

    decided = talk.respond("Pedido feito.", side_effects=("call-1",))

    assert talk.texts == ["Pedido feito."]
    assert [(each.wamid, each.kind) for each in decided.outcomes] == [("w1", OutcomeKind.ANSWERED)]
    assert decided.phase is Phase.GATHERING


def test_a_side_effect_without_an_answer_goes_to_a_person() -> None:
    talk = thinking("faz o pedido do azul")
    talk.hear("w2", "obrigada")

    decided = talk.respond(outcome=ResponseOutcome.CANCELLED, side_effects=("call-1",))

    assert (decided.phase, decided.reason) == (Phase.WITH_HUMAN, "effects_without_answer")
    assert [each.wamid for each in decided.outcomes] == ["w1", "w2"]


def test_a_cancel_that_is_never_answered_goes_to_a_person() -> None:
    talk = thinking()
    talk.hear("w2", "mais")
    talk.fire("burst")

    assert talk.fire("turn").reason == "cancel_unanswered"


def test_wanting_a_person_does_not_wait_for_the_ai() -> None:
    talk = thinking()

    decided = talk.hear("w2", "quero um atendente")

    assert decided.phase is Phase.WITH_HUMAN
    assert [each.kind for each in talk.of(HandoffRequested)] == [TurnKind.CANCEL, TurnKind.START]
    assert [(each.wamid, each.turn_id) for each in decided.outcomes] == [
        ("w1", talk.started[0].turn_id),
        ("w2", None),
    ]


# People


def test_a_takeover_while_thinking_silences_the_ai() -> None:
    talk = thinking()

    decided = talk.control(Command.TAKEOVER)

    (marker,) = talk.of(OutboundRequested)
    (cancelled,) = talk.of(HandoffRequested)
    assert (marker.kind, marker.text, marker.epoch) == (OutboundKind.MARKER, None, talk.it.epoch)
    assert cancelled.kind is TurnKind.CANCEL
    assert (decided.phase, decided.agent_user) == (Phase.WITH_HUMAN, "ana")
    assert decided.takeover_pending
    assert [each.reason for each in decided.outcomes] == ["takeover"]
    stale = talk.respond("R$ 10", side_effects=("call-1",))
    assert (stale.decision, stale.reason) == ("stale_response", "side_effects")
    assert talk.texts == []


@pytest.mark.parametrize(
    ("command", "more"),
    [(Command.TAKEOVER, {}), (Command.PAUSE, {}), (Command.PAUSE, {"until": T0 + HOUR})],
)
def test_a_marker_is_newer_than_the_answers_before_it(
    command: Command, more: dict[str, Any]
) -> None:
    talk = thinking()
    talk.respond("R$ 10")
    (answer,) = talk.of(OutboundRequested)

    talk.control(command, **more)

    (marker,) = talk.of(OutboundRequested)
    assert (marker.kind, marker.epoch) == (OutboundKind.MARKER, answer.epoch + 1)


def test_a_takeover_counts_when_the_gate_confirms_its_marker() -> None:
    talk = thinking()
    talk.control(Command.TAKEOVER)
    (marker,) = talk.of(OutboundRequested)

    decided = talk.settle(marker, BubbleState.APPLIED)

    assert (decided.decision, decided.takeover_pending) == ("takeover_applied", False)


def test_a_repeated_command_is_obeyed_once() -> None:
    talk = thinking()
    talk.control(Command.TAKEOVER, "r1")
    epoch = talk.it.epoch

    decided = talk.control(Command.TAKEOVER, "r1")

    assert decided.decision == "duplicate_ignored"
    assert (talk.it.epoch, len(talk.effects)) == (epoch, 1)


@pytest.mark.parametrize(
    ("command", "decision"),
    [
        (Command.RELEASE, "release_ignored"),
        (Command.UNPARK, "unpark_ignored"),
        (Command.UNKNOWN, "unknown_ignored"),
    ],
)
def test_a_command_that_does_not_fit_changes_nothing(command: Command, decision: str) -> None:
    talk = Talk()

    decided = talk.control(command)

    assert (decided.decision, decided.reason) == (decision, "phase:idle")
    assert (decided.phase, decided.epoch) == (Phase.IDLE, 0)


def test_a_release_gives_the_conversation_back_to_the_ai() -> None:
    talk = with_human()

    decided = talk.control(Command.RELEASE)

    assert (decided.phase, decided.owner, decided.epoch) == (Phase.IDLE, None, 1)
    assert [each.kind for each in talk.of(OutboundRequested)] == [OutboundKind.MARKER]
    talk.hear("w2", "quanto custa?")
    assert talk.fire("burst").decision == "turn_started"


def test_a_person_who_writes_takes_the_conversation() -> None:
    talk = thinking()

    decided = talk.reply("Oi, aqui é a Ana")

    marker, bubble = talk.of(OutboundRequested)
    assert (marker.kind, bubble.text) == (OutboundKind.MARKER, "Oi, aqui é a Ana")
    assert (bubble.author, bubble.epoch, bubble.recipient) == (Author.HUMAN, marker.epoch, MARIA)
    assert (decided.phase, decided.agent_user, decided.unread) == (Phase.WITH_HUMAN, "ana", 0)
    assert [each.reason for each in decided.outcomes] == ["human_replied"]
    assert talk.it.history[-1].text == "Oi, aqui é a Ana"


def test_only_the_first_reply_needs_a_marker() -> None:
    talk = with_human()
    talk.reply("oi")
    assert len(talk.of(OutboundRequested)) == 2

    talk.reply("tudo bem?")

    assert talk.texts == ["tudo bem?"]


def test_an_answer_from_the_phone_app_is_a_takeover_and_is_not_sent_again() -> None:
    talk = thinking()

    decided = talk.reply("respondi pelo celular", ReplyOrigin.PHONE_APP, wamid="wamid.echo")

    assert (decided.phase, decided.agent_user) == (Phase.WITH_HUMAN, None)
    assert talk.texts == [None]
    assert talk.it.history[-1].wamid == "wamid.echo"


@pytest.mark.parametrize("kind", [MessageKind.EDIT, MessageKind.REVOKE, MessageKind.REACTION])
def test_an_echo_without_words_is_no_takeover(kind: MessageKind) -> None:
    talk = thinking()

    decided = talk.reply("x", ReplyOrigin.PHONE_APP, kind=kind)

    assert (decided.decision, decided.phase) == ("reply_noted", Phase.THINKING)


def test_a_reply_to_a_stranger_goes_to_the_recipient_it_names() -> None:
    talk = Talk()

    talk.reply("oi", recipient=Person(wa_id="551199"))

    assert talk.of(OutboundRequested)[-1].recipient == Person(wa_id="551199")


def test_a_reply_without_words_is_refused_and_takes_nothing() -> None:
    decided = thinking().reply(" ")

    assert (decided.decision, decided.reason) == ("reply_refused", "no_text")
    assert decided.phase is Phase.THINKING


def test_a_long_reply_is_cut_into_bubbles() -> None:
    talk = with_human()

    talk.reply("a" * (BUBBLE_CHARS + 1))

    assert [len(text) for text in talk.texts if text is not None] == [BUBBLE_CHARS, 1]


def test_messages_wait_for_the_end_of_a_pause() -> None:
    talk = thinking()
    paused = talk.control(Command.PAUSE, until=T0 + HOUR)
    held = talk.hear("w2", "quanto custa?")
    assert (paused.phase, held.decision, held.outcomes) == (Phase.PAUSED, "held", ())

    decided = talk.fire("pause")

    assert (decided.decision, decided.phase) == ("released", Phase.THINKING)
    assert talk.of(HandoffRequested)[0].wamids == ("w2",)


def test_messages_of_a_pause_without_end_are_for_people() -> None:
    talk = Talk()
    talk.hear("w1")
    talk.control(Command.PAUSE)

    decided = talk.hear("w2", "quanto custa?")

    assert [(each.kind, each.reason) for each in decided.outcomes] == [
        (OutcomeKind.HANDED, "paused")
    ]


def test_a_person_who_answers_in_a_pause_has_answered_what_waits() -> None:
    talk = Talk()
    talk.hear("w1")
    talk.control(Command.PAUSE, until=T0 + HOUR)
    talk.hear("w2", "quanto custa?")

    decided = talk.reply("R$ 10")

    assert [(each.wamid, each.reason) for each in decided.outcomes] == [("w2", "human_replied")]
    assert decided.phase is Phase.PAUSED


def test_a_message_opens_a_closed_conversation_again() -> None:
    talk = thinking()
    closed = talk.control(Command.CLOSE)

    decided = talk.hear("w2", "mais uma coisa")

    assert (closed.phase, closed.outcomes[0].kind) == (Phase.CLOSED, OutcomeKind.HANDED)
    assert (decided.phase, decided.reason) == (Phase.GATHERING, "reopened")


def test_a_flood_is_parked_until_an_operator_lets_it_go_on() -> None:
    talk = Talk()
    decided = [talk.hear(f"w{number}", "a") for number in range(52)]

    assert (decided[50].decision, decided[50].reason) == ("parked", "flood")
    assert {each.kind for each in decided[50].outcomes} == {OutcomeKind.PARKED}
    assert len(decided[50].outcomes) == 51
    assert [each.kind for each in decided[51].outcomes] == [OutcomeKind.PARKED]
    assert talk.control(Command.UNPARK).phase is Phase.IDLE
    assert talk.hear("w99", "oi").phase is Phase.GATHERING


def test_more_words_than_a_turn_may_hold_go_to_a_person() -> None:
    talk = Talk()
    decided = [talk.hear(f"w{number}", "a" * 4000) for number in range(5)]

    assert decided[-1].reason == "too_long"
    assert len(decided[-1].outcomes) == 5


# What the gate says


@pytest.mark.parametrize(
    ("state", "reason", "notices"),
    [
        # The channel refuses the answer: it would refuse the notice.
        (BubbleState.FAILED, "window_closed", 0),
        # It may have arrived; a person must look, and the customer is told.
        (BubbleState.UNKNOWN, "timeout", 1),
    ],
)
def test_an_answer_that_did_not_arrive_goes_to_a_person(
    state: BubbleState, reason: str, notices: int
) -> None:
    talk = thinking()
    talk.respond("R$ 10")
    (bubble,) = talk.of(OutboundRequested)

    decided = talk.settle(bubble, state, reason)

    assert (decided.phase, decided.reason) == (Phase.WITH_HUMAN, f"send_{state}:{reason}")
    assert decided.outcomes == ()
    assert len(talk.of(OutboundRequested)) == notices


@pytest.mark.parametrize("state", [BubbleState.ACCEPTED, BubbleState.DROPPED])
def test_an_answer_that_was_sent_or_dropped_changes_nothing(state: BubbleState) -> None:
    talk = thinking()
    talk.respond("R$ 10")

    decided = talk.settle(talk.of(OutboundRequested)[0], state)

    assert (decided.phase, decided.decision) == (Phase.IDLE, f"bubble_{state}")
    assert talk.it.awaiting == ()


def test_a_bubble_is_settled_once() -> None:
    talk = thinking()
    talk.respond("R$ 10")
    (bubble,) = talk.of(OutboundRequested)
    talk.settle(bubble, BubbleState.ACCEPTED)

    assert talk.settle(bubble, BubbleState.FAILED).phase is Phase.IDLE


def test_a_failed_notice_is_not_followed_by_another() -> None:
    talk = with_human()
    (notice,) = talk.of(OutboundRequested)

    decided = talk.settle(notice, BubbleState.FAILED)

    assert (decided.phase, len(talk.effects)) == (Phase.WITH_HUMAN, 1)


def test_the_ai_stops_when_nothing_leaves_the_gate() -> None:
    talk = Talk()
    for number in range(1, 5):
        talk.hear(f"w{number}", "mais")
        talk.fire("burst")
        talk.respond(*["parte"] * 10)

    assert talk.hear("w9", "oi").reason == "channel_blocked"


# The door


def test_a_record_that_is_not_for_dispatch_is_rejected() -> None:
    with pytest.raises(Rejected, match="unexpected_record"):
        decide(
            None,
            SETTINGS,
            source=Position(topic="t", partition=0, offset=0),
            now_ms=T0,
            settings=SETTINGS,
        )


@pytest.mark.parametrize("other", [{"tenant_id": "b"}, {"conversation_id": "conv_1"}])
def test_an_event_of_another_conversation_is_rejected(other: dict[str, Any]) -> None:
    talk = Talk()
    talk.hear("w1")

    with pytest.raises(Rejected, match="wrong_conversation"):
        talk.apply(replace(message("w2"), **other))
