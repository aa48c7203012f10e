"""A bubble was posted, its worker died before it wrote that down, and a status is read first."""

from __future__ import annotations

from typing import Any

import pytest

from agents.core.gate import Gate
from agents.core.gate_status import KEPT_EARLY
from agents.core.gate_waits import PAIR_EVERY_MS, PAIR_MARGIN_MS, pair_due
from schemas.events import BubbleState, DeliveryStatus, OutboundUpdated, StatusReceived
from tests.agents.outbound.desk import T0, Desk, bubble, status
from tests.agents.outbound.office import Office, fired, told

ACCEPTED, FAILED = BubbleState.ACCEPTED, BubbleState.FAILED
DELIVERED = DeliveryStatus.DELIVERED


def report(name: DeliveryStatus, of: str = "b1", **more: Any) -> StatusReceived:
    return status(name, of, **{"attempt": 1} | more)


@pytest.fixture
def office() -> Office:
    return Office()


async def waiting(office: Office) -> Gate:
    office.permits.reason = "number_rate"
    state, _ = await office.handle(bubble("b1"))
    office.permits.reason = ""
    return state


@pytest.mark.parametrize("name", [DeliveryStatus.SENT, DELIVERED, DeliveryStatus.READ])
async def test_it_proves_that_a_bubble_that_waited_was_sent(
    office: Office, name: DeliveryStatus
) -> None:
    state = await waiting(office)
    office.claims.results["bubble", "b1", 1] = None
    again = fired("rate:b1", state)

    state, effects = await office.handle(report(name), state)
    assert told(effects) == [("b1", ACCEPTED, "")]
    assert pair_due(state.pair, T0) == T0 + PAIR_EVERY_MS + PAIR_MARGIN_MS
    state, effects = await office.handle(again, state)

    assert (told(effects), state.timers, office.courier.letters) == ([], {}, [])
    assert (state.bubbles[0].shown, state.bubbles[0].attempt) == (str(name), 1)


async def test_it_proves_that_a_bubble_was_sent_whose_request_is_read_again(
    office: Office,
) -> None:
    office.claims.results["bubble", "b1", 1] = None
    state, effects = await office.handle(report(DELIVERED))
    assert effects == ()

    state, effects = await office.handle(bubble("b1"), state)

    assert told(effects) == [("b1", ACCEPTED, "")]
    shown = [each for each in effects if isinstance(each, OutboundUpdated)]
    assert [(each.state, each.attempt, each.text) for each in shown] == [
        (ACCEPTED, 1, "texto b1"),
        (BubbleState.DELIVERED, 1, None),
    ]
    assert (state.early, state.timers, office.courier.letters) == ((), {}, [])


async def test_a_failure_is_its_end(office: Office) -> None:
    office.claims.results["bubble", "b1", 1] = None
    failed = report(DeliveryStatus.FAILED, error_code=131026)
    state, _ = await office.handle(failed)

    state, effects = await office.handle(bubble("b1"), state)

    assert told(effects) == [("b1", FAILED, "reported_failed")]
    assert state.bubbles[0].error_code == 131026
    assert office.courier.letters == []


def test_it_proves_that_a_bubble_was_sent_whose_request_is_given_up() -> None:
    desk = Desk()
    desk.apply(report(DELIVERED))

    desk.give_up(bubble("b1"))

    assert desk.ends == [("b1", ACCEPTED, "")]
    assert desk.it.early == ()


async def test_the_next_part_waits_for_the_delivery_of_what_was_sent(office: Office) -> None:
    office.claims.results["bubble", "b1", 1] = None
    state, _ = await office.handle(report(DeliveryStatus.SENT))
    state, _ = await office.handle(bubble("b1", turn_id="t1", ordinal=1), state)

    state, _ = await office.handle(bubble("b2", turn_id="t1", ordinal=2), state)

    assert list(state.timers) == ["order:b2"]
    assert office.courier.letters == []


def test_only_so_many_are_kept_and_none_of_a_bubble_that_was_forgotten() -> None:
    desk = Desk()
    for number in range(2 * KEPT_EARLY):
        desk.apply(report(DELIVERED, f"x{number}"))
    assert [each.bubble_id for each in desk.it.early] == [
        f"x{number}" for number in range(KEPT_EARLY, 2 * KEPT_EARLY)
    ]

    for number in range(60):
        desk.now += 10_000
        desk.apply(bubble(f"b{number}", desk.now))
    assert desk.it.find("b0") is None
    early = desk.it.early
    desk.apply(report(DELIVERED, "b0"))

    assert desk.it.early == early
