from __future__ import annotations

from typing import Any

import pytest

from agents.core.dispatch_people import NOTICE
from agents.core.texts import BUBBLE_CHARS
from schemas.events import (
    Author,
    Command,
    HandoffRequested,
    MemoryUpdateRequested,
    OutboundKind,
    OutboundRequested,
    Outcome,
    OutcomeKind,
    Phase,
    ResponseOutcome,
    TurnKind,
)
from schemas.ids import derived
from tests.agents.dispatch.talk import (
    Talk,
    thinking,
    with_settings,
)


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


def test_a_burst_that_a_clock_ahead_has_opened_is_over_when_its_timer_comes() -> None:
    talk = Talk()
    talk.now += 3_600_000
    talk.hear("w1", "oi")
    over = talk.fired("burst")
    talk.now -= 3_600_000

    assert talk.apply(over).decision == "turn_started"


def late() -> tuple[Talk, HandoffRequested]:
    """A conversation that the AI has again, while a turn of it that was given up has not ended."""
    talk = thinking("faz o pedido", settings=with_settings(handoff_minutes=1))
    talk.fire("turn")
    talk.fire("handoff")
    assert talk.it.phase is Phase.IDLE
    return talk, talk.started[0]


def test_what_a_turn_did_that_was_given_up_is_told_to_a_person() -> None:
    """Else the next turn does it a second time, and nobody knows of the first."""
    talk, turn = late()
    talk.hear("w2", "e o meu pedido?")
    talk.fire("burst")

    decided = talk.respond(turn=turn, outcome=ResponseOutcome.CANCELLED, side_effects=("call-1",))

    assert (decided.decision, decided.reason) == ("handed_over", "effects_without_answer")
    assert (decided.phase, decided.turn_id) == (Phase.WITH_HUMAN, turn.turn_id)
    assert talk.outcomes["w2"] is OutcomeKind.HANDED
    assert {each.to_agent for each in talk.of(HandoffRequested)} >= {"human"}


def test_it_is_told_once() -> None:
    talk, turn = late()
    talk.respond(turn=turn, outcome=ResponseOutcome.CANCELLED, side_effects=("call-1",))
    end = talk.history[-1]
    talk.control(Command.RELEASE)

    again = talk.apply(end)

    assert (again.decision, again.phase) == ("stale_response", Phase.IDLE)


def test_an_answer_that_told_of_it_calls_nobody_when_it_is_read_again() -> None:
    talk = thinking("faz o pedido")
    talk.respond("Pedido feito.", side_effects=("call-1",))

    again = talk.apply(talk.history[-1])

    assert (again.decision, again.phase) == ("stale_response", Phase.IDLE)
