from __future__ import annotations

from agents.core.conversation import Conversation
from agents.core.dispatch_given_up import given_up
from schemas.events import (
    Author,
    ConversationChanged,
    Event,
    HandoffRequested,
    OutboundRequested,
    OutcomeKind,
    Phase,
    Position,
)
from tests.agents.dispatch.talk import SETTINGS, Talk, message


def give_up(talk: Talk, event: Event) -> tuple[Conversation, tuple[Event, ...]]:
    return given_up(
        talk.state,
        event,
        source=Position(topic=event.event, partition=3, offset=99),
        now_ms=talk.now,
        settings=SETTINGS,
        reason="bug",
    )


def changed(effects: tuple[Event, ...]) -> ConversationChanged:
    last = effects[-1]
    assert isinstance(last, ConversationChanged)
    return last


def test_a_message_that_is_given_up_ends_as_parked_and_calls_a_person() -> None:
    talk = Talk()

    state, effects = give_up(talk, message("w1"))

    assert [(o.wamid, o.kind, o.reason) for o in changed(effects).outcomes] == [
        ("w1", OutcomeKind.PARKED, "given_up:bug")
    ]
    assert state.phase is Phase.WITH_HUMAN
    assert [e.to_agent for e in effects if isinstance(e, HandoffRequested)] == ["human"]
    assert [e.author for e in effects if isinstance(e, OutboundRequested)] == [Author.AUTOMATION]


def test_what_waited_behind_it_is_handed_to_the_person() -> None:
    talk = Talk()
    talk.hear("w1")

    _, effects = give_up(talk, message("w2"))

    assert [(o.wamid, o.kind) for o in changed(effects).outcomes] == [
        ("w2", OutcomeKind.PARKED),
        ("w1", OutcomeKind.HANDED),
    ]


def test_a_message_with_an_outcome_gets_no_second_one() -> None:
    talk = Talk()
    talk.state, _ = give_up(talk, message("w1"))

    state, effects = give_up(talk, message("w1"))

    assert changed(effects).outcomes == ()
    assert state.phase is Phase.WITH_HUMAN
