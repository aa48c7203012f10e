"""Edits and revokes of what was not answered yet."""

from __future__ import annotations

import pytest

from agents.core.dispatch_turns import CANCEL_LIMIT_MS
from agents.core.texts import CORRECTION
from schemas.events import (
    Command,
    ConversationChanged,
    HandoffRequested,
    MemoryUpdateRequested,
    MessageKind,
    OutboundRequested,
    OutcomeKind,
    Phase,
    ResponseOutcome,
    TurnKind,
)
from tests.agents.dispatch.talk import T0, Talk, thinking, with_settings

HOUR = 3_600_000


def edit(talk: Talk, target: str, text: str, wamid: str = "e1") -> ConversationChanged:
    return talk.hear(wamid, text, kind=MessageKind.EDIT, target_wamid=target)


def revoke(talk: Talk, target: str, wamid: str = "r1") -> ConversationChanged:
    return talk.hear(wamid, None, kind=MessageKind.REVOKE, target_wamid=target)


def test_an_edit_while_thinking_takes_the_turn_back_and_asks_with_the_new_words() -> None:
    talk = thinking("quero dois", "do azul")

    decided = edit(talk, "w1", "quero três")

    (cancelled,) = talk.of(HandoffRequested)
    assert (cancelled.kind, cancelled.turn_id) == (TurnKind.CANCEL, talk.started[0].turn_id)
    assert (decided.decision, decided.reason, decided.phase) == (
        "amended",
        "edit",
        Phase.GATHERING,
    )
    assert [(each.wamid, each.reason) for each in decided.outcomes] == [("e1", "kind:edit")]
    talk.respond(outcome=ResponseOutcome.CANCELLED)
    talk.fire("burst")
    assert talk.started[-1].question == "quero três\ndo azul"


def test_an_answer_that_was_quicker_than_the_edit_is_not_sent() -> None:
    talk = thinking("quero dois")
    edit(talk, "w1", "quero três")

    talk.respond("Dois, anotado.")
    talk.fire("burst")

    assert talk.texts == []
    assert talk.started[-1].question == "quero três"


def test_a_revoke_while_thinking_leaves_the_other_messages() -> None:
    talk = thinking("mensagem errada", "quanto custa?")

    decided = revoke(talk, "w1")

    assert {(each.wamid, each.reason) for each in decided.outcomes} == {
        ("w1", "revoked"),
        ("r1", "kind:revoke"),
    }
    assert decided.unread == 1
    talk.respond(outcome=ResponseOutcome.CANCELLED)
    talk.fire("burst")
    assert talk.started[-1].wamids == ("w2",)


def test_a_revoke_of_everything_ends_the_turn_and_says_nothing() -> None:
    talk = thinking("mensagem errada")

    decided = revoke(talk, "w1")

    (cancelled,) = talk.of(HandoffRequested)
    assert cancelled.kind is TurnKind.CANCEL
    assert talk.it.timers == {"turn": talk.now + CANCEL_LIMIT_MS}
    assert decided.unread == 0
    ended = talk.respond("Custa R$ 10.")
    assert (ended.decision, ended.phase) == ("turn_cancelled", Phase.IDLE)
    assert talk.texts == []
    assert talk.it.timers == {}


def test_a_side_effect_of_a_revoked_question_is_told() -> None:
    talk = thinking("faz o pedido")
    revoke(talk, "w1")

    talk.respond("Pedido feito.", side_effects=("call-1",))

    assert talk.texts == ["Pedido feito."]
    assert talk.it.phase is Phase.IDLE


def test_an_edit_that_crosses_a_side_effect_is_answered_after_it() -> None:
    talk = thinking("quero dois", "do azul")
    edit(talk, "w1", "quero três")

    answered = talk.respond("Pedido feito: dois azuis.", side_effects=("call-1",))

    assert talk.texts == ["Pedido feito: dois azuis."]
    assert (answered.decision, answered.phase, answered.unread) == (
        "answered",
        Phase.GATHERING,
        1,
    )
    assert [each.wamid for each in answered.outcomes] == ["w2"]
    talk.fire("burst")
    (follow_up,) = talk.started[1:]
    assert (follow_up.wamids, follow_up.question) == (("w1",), f"{CORRECTION} quero três")
    assert [line.text for line in follow_up.history] == [
        "quero dois",
        "do azul",
        "Pedido feito: dois azuis.",
    ]
    talk.respond("Agora são três.")
    assert talk.outcomes["w1"] is OutcomeKind.ANSWERED
    assert (talk.it.phase, talk.it.timers, talk.it.pending) == (Phase.IDLE, {}, ())


def test_what_a_turn_answered_is_remembered_in_the_words_that_it_was_given() -> None:
    talk = thinking("quero dois")
    edit(talk, "w1", "quero três")
    edit(talk, "w1", "quero quatro", "e2")

    talk.respond("Pedido feito.", side_effects=("call-1",))

    (remembered,) = talk.of(MemoryUpdateRequested)
    assert remembered.question == "quero dois"
    talk.fire("burst")
    assert talk.started[-1].question == f"{CORRECTION} quero quatro"


def test_an_edit_whose_burst_is_over_is_asked_as_soon_as_the_side_effect_is_told() -> None:
    talk = thinking("quero dois")
    edit(talk, "w1", "quero três")
    talk.fire("burst")

    decided = talk.respond("Pedido feito.", side_effects=("call-1",))

    assert (decided.phase, talk.texts) == (Phase.THINKING, ["Pedido feito."])
    assert talk.started[-1].question == f"{CORRECTION} quero três"


def test_a_correction_that_waits_can_be_edited_and_revoked() -> None:
    talk = thinking("quero dois")
    edit(talk, "w1", "quero três")
    talk.respond("Pedido feito.", side_effects=("call-1",))
    edit(talk, "w1", "quero quatro", "e2")
    assert [each.text for each in talk.it.pending] == [f"{CORRECTION} quero quatro"]

    revoked = revoke(talk, "w1")

    assert ("w1", "revoked") in {(each.wamid, each.reason) for each in revoked.outcomes}
    assert (talk.it.phase, talk.it.timers) == (Phase.IDLE, {})


def test_a_correction_that_crosses_an_answer_as_well_is_named_once() -> None:
    talk = thinking("quero dois")
    for number, words in enumerate(["quero três", "quero quatro"]):
        edit(talk, "w1", words, f"e{number}")
        talk.respond("Pedido feito.", side_effects=(f"call-{number}",))
        talk.fire("burst")

    assert talk.started[-1].question == f"{CORRECTION} quero quatro"


def test_an_edit_that_changes_nothing_is_not_asked_again() -> None:
    talk = thinking("quero dois")
    edit(talk, "w1", "quero dois")

    talk.respond("Pedido feito.", side_effects=("call-1",))

    assert talk.outcomes["w1"] is OutcomeKind.ANSWERED
    assert (talk.it.phase, talk.it.timers) == (Phase.IDLE, {})


def test_nothing_is_kept_of_what_was_edited_and_then_revoked() -> None:
    talk = thinking("meu cartão é 4111", "e quero dois")
    edit(talk, "w1", "ops")

    revoke(talk, "w1")

    assert talk.it.turn is not None
    assert talk.it.turn.asked == {}


def test_a_side_effect_without_an_answer_still_goes_to_a_person() -> None:
    talk = thinking("faz o pedido")
    revoke(talk, "w1")

    decided = talk.respond(outcome=ResponseOutcome.CANCELLED, side_effects=("call-1",))

    assert (decided.phase, decided.reason) == (Phase.WITH_HUMAN, "effects_without_answer")


def test_a_cancel_that_is_never_answered_calls_a_person_but_bothers_nobody() -> None:
    talk = thinking("mensagem errada")
    revoke(talk, "w1")

    decided = talk.fire("turn")

    assert decided.reason == "cancel_unanswered"
    assert talk.of(OutboundRequested) == []


def test_a_message_after_the_revoke_is_answered_when_the_turn_has_ended() -> None:
    talk = thinking("mensagem errada")
    revoke(talk, "w1")
    talk.hear("w2", "quanto custa?")

    decided = talk.respond(outcome=ResponseOutcome.CANCELLED)

    assert decided.decision == "turn_started"
    assert talk.started[-1].wamids == ("w2",)


def test_what_a_cancelled_turn_leaves_can_still_be_changed() -> None:
    talk = thinking("quero dois")
    talk.hear("w2", "do azul")
    edit(talk, "w1", "quero três")
    revoke(talk, "w2")
    assert [each.kind for each in talk.of(HandoffRequested)] == []

    talk.respond(outcome=ResponseOutcome.CANCELLED)
    talk.fire("burst")

    assert (talk.started[-1].question, talk.started[-1].wamids) == ("quero três", ("w1",))


def test_a_revoke_of_all_while_a_cancelled_turn_ends_leaves_nothing_to_answer() -> None:
    talk = thinking("um")
    talk.hear("w2", "dois")
    revoke(talk, "w1", "r1")
    revoke(talk, "w2", "r2")

    ended = talk.respond(outcome=ResponseOutcome.CANCELLED)

    assert (ended.phase, talk.it.timers) == (Phase.IDLE, {})


def test_who_edits_for_ever_is_answered_too() -> None:
    talk = thinking("um")
    for number in range(2):
        edit(talk, "w1", f"versão {number}", f"e{number}")
        talk.respond(outcome=ResponseOutcome.CANCELLED)
        talk.fire("burst")

    decided = edit(talk, "w1", "mais uma", "e9")

    assert (decided.decision, decided.phase) == ("amended", Phase.THINKING)
    assert talk.of(HandoffRequested) == []
    assert talk.respond("pronto").decision == "answered"
    assert talk.started[-1].question == f"{CORRECTION} mais uma"


@pytest.mark.parametrize("kind", [MessageKind.EDIT, MessageKind.REVOKE])
def test_what_was_answered_stays_as_it_was_answered(kind: MessageKind) -> None:
    talk = thinking("quanto custa?")
    talk.respond("R$ 10")

    decided = talk.hear("e1", "quanto custam?", kind=kind, target_wamid="w1")

    assert (decided.decision, decided.reason) == ("ignored", f"late:{kind}")
    assert [(each.wamid, each.reason) for each in decided.outcomes] == [("e1", f"late:{kind}")]
    assert (decided.phase, talk.it.turn) == (Phase.IDLE, None)


def test_an_edited_caption_is_still_of_its_picture() -> None:
    talk = Talk()
    talk.hear("w1", "serve este?", kind=MessageKind.IMAGE)
    edit(talk, "w1", "e este?")

    talk.fire("burst")

    assert talk.started[-1].question == "[imagem] e este?"


def test_an_edit_that_asks_for_a_person_gets_one() -> None:
    talk = thinking("quanto custa?")
    edit(talk, "w1", "quero falar com um atendente")
    talk.respond(outcome=ResponseOutcome.CANCELLED)

    decided = talk.fire("burst")

    assert (decided.phase, decided.reason) == (Phase.WITH_HUMAN, "rule:wants_person")


def test_a_burst_whose_messages_were_revoked_does_not_shorten_the_next_one() -> None:
    talk = thinking("faz o pedido")
    talk.hear("w2", "e o azul")
    talk.fire("burst")
    revoke(talk, "w2")
    talk.respond("Pedido feito.", side_effects=("call-1",))
    talk.now += HOUR

    talk.hear("w3", "quanto fica?")

    assert talk.it.timers["burst"] > talk.now


def test_an_edit_cannot_make_a_conversation_hold_more_than_it_may() -> None:
    talk = Talk()
    for number in range(6):
        talk.hear(f"w{number}", "a")
        edit(talk, f"w{number}", "a" * 4000, f"e{number}")

    assert talk.it.phase is Phase.WITH_HUMAN
    assert set(talk.outcomes) >= {"w0", "w1", "w2", "w3"}


def test_what_waits_in_a_pause_or_with_a_person_can_be_changed_too() -> None:
    talk = Talk(with_settings(human_silence_minutes=30))
    talk.control(Command.TAKEOVER)
    talk.hear("w1", "quero dois")
    edit(talk, "w1", "quero três")
    talk.control(Command.PAUSE, until=T0 + HOUR)
    talk.hear("w2", "mensagem errada")

    revoked = revoke(talk, "w2")

    assert ("w2", "revoked") in {(each.wamid, each.reason) for each in revoked.outcomes}
    assert [each.text for each in talk.it.pending] == ["quero três"]
    talk.reply("Três, certo")
    assert [line.text for line in talk.it.history] == ["quero três", "Três, certo"]
    assert talk.outcomes["w1"] is OutcomeKind.HANDED
