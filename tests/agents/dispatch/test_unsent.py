"""What was asked for and never reached the customer does not count as said."""

from __future__ import annotations

import pytest

from agents.core.texts import LINE_CHARS, NOT_KNOWN, NOT_REACHED
from schemas.events import (
    Author,
    BubbleState,
    Command,
    HandoffRequested,
    Line,
    OutboundKind,
    OutboundRequested,
)
from tests.agents.dispatch.talk import Talk, thinking, with_human

PRICE, OFFER = "R$ 10", "Quer que eu reserve?"


def answered(*texts: str) -> tuple[Talk, list[OutboundRequested]]:
    talk = thinking("quanto custa?")
    talk.respond(*(texts or (PRICE, OFFER)))
    bubbles = talk.of(OutboundRequested)
    return talk, bubbles


def ours(talk: Talk) -> list[str]:
    return [line.text for line in talk.it.history if line.role != "customer"]


def test_what_a_takeover_stopped_at_the_gate_is_known_to_the_next_turn_as_not_said() -> None:
    talk, (first, second) = answered()
    talk.settle(first, BubbleState.ACCEPTED)
    talk.control(Command.TAKEOVER)
    talk.settle(second, BubbleState.DROPPED, "stale_epoch")
    talk.control(Command.RELEASE)
    talk.hear("w2", "oi?")
    talk.fire("burst")

    (turn,) = talk.of(HandoffRequested)

    assert [line.text for line in turn.history] == [
        "quanto custa?",
        PRICE,
        f"{NOT_REACHED} {OFFER}",
    ]
    assert {type(line) for line in turn.history} == {Line}


@pytest.mark.parametrize(
    ("state", "mark"), [(BubbleState.FAILED, NOT_REACHED), (BubbleState.UNKNOWN, NOT_KNOWN)]
)
def test_the_person_who_is_called_reads_what_did_not_arrive(state: BubbleState, mark: str) -> None:
    talk, (first, _) = answered()

    talk.settle(first, state, "timeout")

    (call,) = talk.of(HandoffRequested)
    assert [line.text for line in call.history][:2] == ["quanto custa?", f"{mark} {PRICE}"]


def test_an_answer_that_whatsapp_did_not_deliver_was_not_said_either() -> None:
    talk, (first, second) = answered()
    talk.settle(first, BubbleState.ACCEPTED)
    talk.settle(second, BubbleState.ACCEPTED)

    talk.settle(second, BubbleState.FAILED, "reported_failed", OutboundKind.REPORT)

    assert ours(talk) == [PRICE, f"{NOT_REACHED} {OFFER}"]


def test_an_end_that_is_told_again_marks_a_line_once() -> None:
    talk, (first, second) = answered()
    talk.control(Command.TAKEOVER)
    for bubble in (first, second, second, first):
        talk.settle(bubble, BubbleState.DROPPED, "stale_epoch")

    assert ours(talk) == [f"{NOT_REACHED} {PRICE}", f"{NOT_REACHED} {OFFER}"]


def test_what_a_person_wrote_and_whatsapp_refused_was_not_said() -> None:
    talk = with_human()
    talk.reply("Oi, aqui é a Ana")
    (bubble,) = [each for each in talk.of(OutboundRequested) if each.author is Author.HUMAN]

    talk.settle(bubble, BubbleState.FAILED, "window_closed")

    assert ours(talk)[-1] == f"{NOT_REACHED} Oi, aqui é a Ana"


def test_a_notice_that_was_not_sent_was_not_said() -> None:
    talk = with_human()
    (notice,) = talk.of(OutboundRequested)

    talk.settle(notice, BubbleState.FAILED, "window_closed")

    assert ours(talk) == [f"{NOT_REACHED} {notice.text}"]


def test_a_marked_line_is_no_longer_than_any_other() -> None:
    talk, (bubble,) = answered("a" * LINE_CHARS)

    talk.settle(bubble, BubbleState.DROPPED, "ai_disabled")

    assert len(ours(talk)[0]) == LINE_CHARS


def test_a_line_that_has_left_the_history_needs_no_mark() -> None:
    talk, bubbles = answered(*("a" * 4000 for _ in range(6)))
    before = talk.it.history

    talk.settle(bubbles[0], BubbleState.ACCEPTED)

    assert talk.it.history == before
    assert len(before) < len(bubbles)
    talk.control(Command.PAUSE)
    kept = talk.it.history
    talk.settle(bubbles[1], BubbleState.DROPPED, "stale_epoch")
    assert talk.it.history == kept
