"""WhatsApp takes a message and says afterwards that it could not be delivered."""

from __future__ import annotations

from typing import Any

import pytest

from agents.ports import Refused, Unknown
from schemas.events import (
    Author,
    BubbleState,
    DeliveryStatus,
    OutboundRequested,
    OutboundSettled,
    OutboundUpdated,
    StatusReceived,
)
from tests.agents.outbound.desk import Desk, bubble, status

FAILED = BubbleState.FAILED


def part(number: int, **more: Any) -> OutboundRequested:
    fields: dict[str, Any] = {"turn_id": "t1", "ordinal": number, "of": 3}
    return bubble(f"p{number}", **fields | more)


def failed(name: str, attempt: int = 1) -> StatusReceived:
    return status(DeliveryStatus.FAILED, name, error_code=131026, attempt=attempt)


def test_what_follows_a_part_that_was_not_delivered_is_not_sent_and_a_person_is_called() -> None:
    desk = Desk()
    desk.apply(part(1))
    desk.apply(part(2))

    letter = desk.apply(failed("p1"))
    assert letter is None
    assert desk.reports == [("p1", "reported_failed")]
    assert desk.of(OutboundSettled)[0].error_code == 131026
    assert desk.ends == [("p2", BubbleState.DROPPED, "part_failed")]
    desk.apply(part(3))

    assert desk.ends == [("p3", BubbleState.DROPPED, "part_failed")]
    assert desk.it.timers == {}


def test_a_person_is_called_once_for_an_answer_that_was_accepted_and_not_delivered() -> None:
    desk = Desk()
    for number in (1, 2):
        desk.apply(part(number))
        desk.apply(status(DeliveryStatus.SENT, f"p{number}"))
    desk.fire("order:p2")

    told = []
    for name in ("p2", "p2", "p1"):
        desk.apply(failed(name))
        told.append(desk.reports)

    assert told == [[("p2", "reported_failed")], [], []]


def test_a_failure_that_is_reported_before_the_gate_knew_of_the_post_is_told_as_its_end() -> None:
    desk = Desk()
    desk.apply(part(1), Unknown(reason="timeout"))

    desk.apply(failed("p1"))

    assert (desk.ends, desk.reports) == ([("p1", FAILED, "reported_failed")], [])


@pytest.mark.parametrize(
    ("more", "before"),
    [
        ({"author": Author.HUMAN}, []),  # they see it in the console
        ({"author": Author.AUTOMATION, "turn_id": None}, []),  # a notice of a hand-over
        ({}, [DeliveryStatus.DELIVERED]),  # another device of the customer has it
        ({}, [DeliveryStatus.READ]),
    ],
)
def test_a_person_is_not_called_for_what_people_wrote_or_the_customer_has(
    more: dict[str, Any], before: list[DeliveryStatus]
) -> None:
    desk = Desk()
    desk.apply(part(1, **more))
    for each in before:
        desk.apply(status(each, "p1"))

    desk.apply(failed("p1"))

    assert desk.reports == []


def test_a_failure_of_a_bubble_that_a_person_has_already_calls_nobody() -> None:
    desk = Desk()
    desk.apply(part(1), Unknown(reason="timeout"))
    desk.fire("unknown_cap:p1")

    desk.apply(failed("p1"))

    assert desk.reports == []


@pytest.mark.parametrize("receipt", [None, Unknown(reason="timeout")])
def test_a_failure_of_an_attempt_that_was_tried_again_says_nothing(
    receipt: Unknown | None,
) -> None:
    desk = Desk()
    desk.apply(part(1), Refused(code=131000, status=500))
    desk.fire("retry:p1", receipt)
    before = desk.bubble("p1")

    desk.apply(failed("p1", attempt=1))
    assert (desk.effects, desk.bubble("p1")) == ((), before)

    desk.apply(failed("p1", attempt=2))
    assert desk.bubble("p1").shown is FAILED


@pytest.mark.parametrize(
    "told",
    [
        (DeliveryStatus.FAILED, DeliveryStatus.DELIVERED),
        (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.READ),
        (DeliveryStatus.SENT, DeliveryStatus.FAILED, DeliveryStatus.SENT, DeliveryStatus.READ),
    ],
)
def test_what_reached_a_device_is_shown_without_the_failure_of_another(
    told: tuple[DeliveryStatus, ...],
) -> None:
    desk = Desk()
    desk.apply(part(1))

    for each in told:
        desk.apply(status(each, "p1", error_code=131026 if each is DeliveryStatus.FAILED else 0))

    (said,) = desk.of(OutboundUpdated)
    assert said.state is not FAILED
    assert (said.error_code, said.reason) == (0, "")
    assert (desk.bubble("p1").error_code, desk.bubble("p1").reason) == (0, "")


def test_what_was_given_up_in_doubt_and_was_sent_is_shown_without_the_doubt() -> None:
    desk = Desk()
    desk.apply(part(1), Unknown(reason="timeout"))
    desk.fire("unknown_cap:p1")
    assert desk.bubble("p1").reason

    desk.apply(status(DeliveryStatus.DELIVERED, "p1"))

    (said,) = desk.of(OutboundUpdated)
    assert (said.state, said.reason) == (BubbleState.DELIVERED, "")


def test_the_failure_stays_while_nothing_but_sent_is_known() -> None:
    desk = Desk()
    desk.apply(part(1))
    desk.apply(failed("p1"))

    desk.apply(status(DeliveryStatus.SENT, "p1"))

    assert (desk.bubble("p1").error_code, desk.bubble("p1").reason) == (131026, "reported_failed")


@pytest.mark.parametrize("told", [DeliveryStatus.DELETED, DeliveryStatus.WARNING])
def test_a_status_that_proves_no_delivery_takes_no_reason_away(told: DeliveryStatus) -> None:
    desk = Desk()
    desk.apply(part(1), Unknown(reason="timeout"))
    desk.fire("unknown_cap:p1")
    before = desk.bubble("p1")
    assert before.settled
    assert before.reason

    desk.apply(status(told, "p1", attempt=0))

    assert desk.bubble("p1").reason == before.reason
