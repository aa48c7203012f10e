from __future__ import annotations

import pytest

from agents.ports import Refused, Unknown
from schemas.changing import replace
from schemas.errors import Rejected
from schemas.events import Author, BubbleState, DeliveryStatus, OutboundUpdated
from tests.agents.outbound.desk import Desk, bubble, marker, status
from tests.agents.outbound.office import Office

BUSY = Refused(code=131056, status=400)
CODE = "given_up:bug"


def test_a_bubble_that_may_be_out_is_settled_as_unknown() -> None:
    desk = Desk()

    desk.give_up(bubble("b1"))

    assert desk.updates == [("b1", BubbleState.UNKNOWN)]
    assert desk.ends == [("b1", BubbleState.UNKNOWN, CODE)]
    assert desk.of(OutboundUpdated)[0].text == "texto b1"
    assert desk.it.timers == {}


def test_a_bubble_whose_turn_it_was_not_is_settled_as_failed() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), BUSY)

    desk.give_up(bubble("b2"))
    desk.until_quiet()

    assert ("b2", BubbleState.FAILED, CODE) in desk.every_end
    assert ("b1", BubbleState.ACCEPTED, "") in desk.every_end
    assert [letter.text for letter in desk.posted] == ["texto b1", "texto b1"]


def test_the_rest_of_an_answer_that_failed_is_not_sent() -> None:
    desk = Desk()
    desk.apply(bubble("other", author=Author.HUMAN), BUSY)
    desk.give_up(bubble("b1", turn_id="t"))

    desk.apply(bubble("b2", turn_id="t"))

    assert desk.ends == [("b2", BubbleState.DROPPED, "part_failed")]


def test_what_the_ai_said_before_a_takeover_is_dropped_even_so() -> None:
    desk = Desk()
    desk.apply(marker("m1", epoch=1))

    desk.give_up(bubble("b1", epoch=0))

    assert desk.ends == [("b1", BubbleState.DROPPED, "stale_epoch")]


def test_a_takeover_is_applied_even_so() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), BUSY)
    desk.apply(bubble("b2", author=Author.HUMAN))

    desk.give_up(marker("m1", epoch=1))
    ends = desk.ends
    desk.until_quiet()

    assert ends == [
        ("b1", BubbleState.DROPPED, "stale_epoch"),
        ("m1", BubbleState.APPLIED, "takeover"),
    ]
    assert [letter.text for letter in desk.posted] == ["texto b1", "texto b2"]


@pytest.mark.parametrize("timer", ["retry:b1", "next"])
def test_the_bubble_that_a_timer_was_for_is_settled_and_the_next_one_goes(timer: str) -> None:
    desk = Desk()
    desk.apply(bubble("b1"), BUSY)
    desk.apply(bubble("b2", author=Author.HUMAN))
    if timer == "next":
        desk.fire("retry:b1")  # b1 is accepted, b2 is woken by a timer of its own
    waits = "b1" if timer == "retry:b1" else "b2"

    desk.give_up_timer(timer)
    ends = desk.ends
    desk.until_quiet()

    assert ends == [(waits, BubbleState.UNKNOWN, CODE)]
    assert desk.it.head is None


def test_an_unknown_result_whose_cap_is_given_up_goes_to_a_person() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), Unknown(reason="timeout"))

    desk.give_up_timer("unknown_cap:b1")

    assert desk.ends == [("b1", BubbleState.UNKNOWN, "timeout")]


def test_a_status_shows_later_that_an_unknown_bubble_arrived() -> None:
    desk = Desk()
    desk.give_up(bubble("b1"))

    desk.apply(status(DeliveryStatus.DELIVERED, "b1"))

    assert desk.updates == [("b1", BubbleState.DELIVERED)]
    assert desk.ends == []


def test_nothing_is_said_twice_nor_about_what_is_not_due() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), BUSY)
    moved = desk.fired("retry:b1")
    desk.fire("retry:b1")

    for event in (bubble("b1"), moved, status(DeliveryStatus.SENT, "b1")):
        desk.give_up(event)
        assert desk.effects == ()


async def test_nothing_is_said_in_a_conversation_of_somebody_else() -> None:
    office = Office()
    state, _ = await office.handle(bubble("b1"))
    stranger = replace(bubble("b2"), tenant_id="tenant_b")

    with pytest.raises(Rejected, match="wrong_conversation"):
        await office.give_up(stranger, state)
