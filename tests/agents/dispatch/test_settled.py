from __future__ import annotations

import pytest

from schemas.events import (
    Author,
    BubbleState,
    Command,
    ConversationChanged,
    HandoffRequested,
    OutboundKind,
    OutboundRequested,
    OutcomeKind,
    Phase,
    TurnKind,
)
from tests.agents.dispatch.talk import (
    Talk,
    thinking,
    with_human,
)


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


def test_an_end_that_is_told_again_after_a_release_calls_nobody_again() -> None:
    """The gate's outbox is published again after a crash."""
    talk = thinking()
    talk.respond("R$ 10")
    (bubble,) = talk.of(OutboundRequested)
    end = talk.end_of(bubble, BubbleState.DROPPED, "ai_disabled")
    assert talk.apply(end).phase is Phase.WITH_HUMAN
    talk.control(Command.RELEASE)

    again = talk.apply(end)

    assert (again.phase, len(talk.effects)) == (Phase.IDLE, 1)


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


def test_an_answer_that_the_kill_switch_stopped_at_the_gate_goes_to_a_person() -> None:
    talk = thinking()
    talk.respond("R$ 10", "Quer?")
    first, second = talk.of(OutboundRequested)

    decided = talk.settle(first, BubbleState.DROPPED, "ai_disabled")
    later = talk.settle(second, BubbleState.DROPPED, "ai_disabled")

    assert (decided.phase, decided.reason) == (Phase.WITH_HUMAN, "ai_disabled")
    assert later.decision == "bubble_dropped"


def reported(talk: Talk, bubble: OutboundRequested) -> ConversationChanged:
    return talk.settle(bubble, BubbleState.FAILED, "reported_failed", OutboundKind.REPORT)


def test_an_answer_that_was_accepted_and_not_delivered_calls_a_person_without_a_notice() -> None:
    talk = thinking()
    talk.respond("R$ 10")
    (bubble,) = talk.of(OutboundRequested)
    talk.settle(bubble, BubbleState.ACCEPTED)

    decided = reported(talk, bubble)

    assert (decided.phase, decided.reason) == (Phase.WITH_HUMAN, "send_failed:reported_failed")
    assert [each.to_agent for each in talk.of(HandoffRequested)] == ["human"]
    assert talk.of(OutboundRequested) == []


def test_a_person_who_has_given_the_conversation_back_is_not_called_by_a_repeated_report() -> None:
    talk = thinking()
    talk.respond("R$ 10")
    (bubble,) = talk.of(OutboundRequested)
    talk.settle(bubble, BubbleState.ACCEPTED)
    reported(talk, bubble)
    talk.control(Command.RELEASE)

    again = reported(talk, bubble)

    assert (again.phase, again.decision) == (Phase.IDLE, "duplicate_ignored")


def test_a_report_while_a_person_has_the_conversation_calls_nobody_again() -> None:
    talk = thinking()
    talk.respond("R$ 10")
    (bubble,) = talk.of(OutboundRequested)
    talk.settle(bubble, BubbleState.ACCEPTED)
    talk.control(Command.TAKEOVER)

    decided = reported(talk, bubble)

    assert (decided.phase, decided.decision) == (Phase.WITH_HUMAN, "bubble_failed")
    assert talk.of(HandoffRequested) == []


def test_the_next_question_of_a_customer_whose_answer_was_not_delivered_is_a_persons() -> None:
    talk = thinking()
    talk.respond("R$ 10")
    (bubble,) = talk.of(OutboundRequested)
    talk.settle(bubble, BubbleState.ACCEPTED)
    talk.hear("w2", "e frete?")
    talk.fire("burst")

    decided = reported(talk, bubble)

    assert [(end.wamid, end.kind) for end in decided.outcomes] == [("w2", OutcomeKind.HANDED)]
    assert {each.kind for each in talk.of(HandoffRequested)} == {TurnKind.CANCEL, TurnKind.START}


def test_an_answer_that_a_takeover_stopped_at_the_gate_calls_nobody_else() -> None:
    talk = thinking()
    talk.respond("R$ 10")
    (bubble,) = talk.of(OutboundRequested)
    talk.control(Command.PAUSE)

    decided = talk.settle(bubble, BubbleState.DROPPED, "taken_over")

    assert (decided.phase, decided.decision) == (Phase.PAUSED, "bubble_dropped")


def test_an_answer_that_was_stopped_by_a_takeover_that_was_never_decided_goes_to_a_person() -> None:
    """The switch was off when its worker died, and on when the event was decided again."""
    talk = thinking()
    talk.respond("R$ 10")
    (bubble,) = talk.of(OutboundRequested)

    decided = talk.settle(bubble, BubbleState.DROPPED, "taken_over")

    assert (decided.phase, decided.reason) == (Phase.WITH_HUMAN, "taken_over")


def test_it_goes_to_a_person_although_newer_messages_have_raised_the_epoch() -> None:
    talk = thinking()
    talk.respond("R$ 10")
    (bubble,) = talk.of(OutboundRequested)
    talk.hear("w2", "e o azul?")
    talk.fire("burst")
    assert talk.hear("w3", "e frete?").decision == "superseded"

    decided = talk.settle(bubble, BubbleState.DROPPED, "taken_over")

    assert (decided.phase, decided.reason) == (Phase.WITH_HUMAN, "taken_over")


def test_the_ai_can_speak_again_after_a_takeover_that_was_written_down_and_never_decided() -> None:
    """What is written down bars every epoch below it: the next answers must be above it."""
    talk = thinking()
    talk.respond("R$ 10")
    (barred,) = talk.of(OutboundRequested)
    talk.settle(barred, BubbleState.DROPPED, "taken_over")
    talk.control(Command.RELEASE)
    talk.hear("w2", "e o azul?")
    talk.fire("burst")

    talk.respond("R$ 12")

    (answer,) = [each for each in talk.of(OutboundRequested) if each.author is Author.AI]
    assert answer.epoch > barred.epoch
