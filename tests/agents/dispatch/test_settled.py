from __future__ import annotations

import pytest

from schemas.events import (
    BubbleState,
    OutboundRequested,
    Phase,
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
