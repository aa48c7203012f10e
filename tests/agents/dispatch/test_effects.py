"""What a turn did outside and did not tell: whoever answers next must not do it again."""

from __future__ import annotations

import pytest

from agents.core.texts import MAYBE_DONE
from schemas.events import Command, HandoffRequested, ResponseOutcome
from tests.agents.dispatch.talk import T0, Talk, thinking, with_settings

MINUTE = 60_000


def known_to_the_next_turn(talk: Talk) -> bool:
    """Say whether the AI is told with the customer's next message."""
    talk.hear("next", "e aí?")
    talk.fire("burst")
    (started,) = talk.of(HandoffRequested)
    return MAYBE_DONE in [line.text for line in started.history]


def cancelled_with_an_effect(talk: Talk) -> None:
    talk.respond(outcome=ResponseOutcome.CANCELLED, side_effects=("refund",))


def test_the_ai_knows_after_a_pause_what_the_turn_before_it_did() -> None:
    talk = thinking("quero o meu dinheiro de volta")
    talk.control(Command.PAUSE, until=T0 + 60 * MINUTE)
    cancelled_with_an_effect(talk)
    talk.fire("pause")

    assert known_to_the_next_turn(talk)


@pytest.mark.parametrize("commands", [(Command.CLOSE,), (Command.TAKEOVER, Command.RELEASE)])
def test_the_ai_knows_it_when_people_give_the_conversation_back(
    commands: tuple[Command, ...],
) -> None:
    talk = thinking("quero o meu dinheiro de volta")
    talk.control(commands[0])
    cancelled_with_an_effect(talk)
    for command in commands[1:]:
        talk.control(command)

    assert known_to_the_next_turn(talk)


def test_the_ai_knows_it_when_nobody_came_to_the_hand_over() -> None:
    talk = thinking("quero o meu dinheiro de volta", settings=with_settings(handoff_minutes=10))
    talk.respond(outcome=ResponseOutcome.FAILED, side_effects=("refund",))
    talk.fire("handoff")

    assert known_to_the_next_turn(talk)


def test_it_is_noted_once() -> None:
    talk = thinking("quero o meu dinheiro de volta")
    talk.control(Command.CLOSE)
    cancelled_with_an_effect(talk)
    cancelled_with_an_effect(talk)

    assert [line.text for line in talk.it.history].count(MAYBE_DONE) == 1


def test_an_answer_that_is_sent_tells_it_itself() -> None:
    talk = thinking("quero o meu dinheiro de volta")
    talk.respond("Devolvido!", side_effects=("refund",))

    assert not known_to_the_next_turn(talk)


@pytest.mark.parametrize(("effects", "noted"), [(("call",), False), (("ticket", "call"), True)])
def test_a_turn_that_has_only_called_a_person_leaves_no_note(
    effects: tuple[str, ...], *, noted: bool
) -> None:
    talk = thinking("quero o meu dinheiro de volta")
    talk.respond(
        outcome=ResponseOutcome.HANDOFF, reason="tool:transfer_to_person", side_effects=effects
    )
    talk.control(Command.RELEASE)

    assert known_to_the_next_turn(talk) is noted


def test_a_turn_that_did_nothing_outside_leaves_no_note() -> None:
    talk = thinking("quanto custa?")
    talk.control(Command.CLOSE)
    talk.respond(outcome=ResponseOutcome.CANCELLED)

    assert not known_to_the_next_turn(talk)
