from __future__ import annotations

import pytest

from agents.core.dispatch_turns import CANCEL_LIMIT_MS
from schemas.events import (
    Command,
    HandoffRequested,
    OutcomeKind,
    Phase,
    ResponseOutcome,
    TurnKind,
)
from tests.agents.dispatch.talk import (
    thinking,
)


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
