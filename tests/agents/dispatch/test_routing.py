from __future__ import annotations

import pytest

from agents.core.dispatch_people import NOTICE
from schemas.events import (
    Author,
    HandoffRequested,
    OutboundRequested,
    Outcome,
    OutcomeKind,
    Phase,
    SettingsChanged,
)
from tests.agents.dispatch.talk import (
    MARIA,
    SETTINGS,
    Talk,
    thinking,
    with_human,
    with_settings,
)


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
