"""What the gate says of a bubble last is what the transcript keeps of it."""

from __future__ import annotations

import pytest

from agents.ports import Refused, Unknown
from agents.ports.whatsapp import Receipt
from schemas.events import BubbleState, DeliveryStatus, OutboundUpdated
from sinks.transcript_rows import RANKS
from tests.agents.outbound.desk import Desk, bubble, marker, status

NOT_WELL = Refused(code=131000, status=500)
TIMEOUT = Unknown(reason="timeout")


def kept(desk: Desk) -> BubbleState:
    """Return the state of the only bubble by the rule of the transcript's statement."""
    said = [each for each in desk.said if isinstance(each, OutboundUpdated)]
    return max(said, key=lambda each: (each.attempt, RANKS[each.state])).state


@pytest.mark.parametrize("told", [DeliveryStatus.SENT, DeliveryStatus.READ, DeliveryStatus.FAILED])
def test_what_was_dropped_and_had_been_sent_is_shown_as_sent(told: DeliveryStatus) -> None:
    desk = Desk()
    desk.apply(bubble("b1"), NOT_WELL)  # it was well enough to take it
    desk.apply(marker("m1", 1))
    assert kept(desk) is BubbleState.DROPPED

    desk.apply(status(told, "b1", attempt=1))

    assert kept(desk) is desk.bubble("b1").shown
    assert str(desk.bubble("b1").shown) == str(told)


@pytest.mark.parametrize("receipt", [None, NOT_WELL, TIMEOUT])
def test_what_is_shown_in_the_end_is_what_was_said_of_it_last(receipt: Receipt | None) -> None:
    desk = Desk()
    desk.apply(bubble("b1"), receipt)
    desk.until_quiet()
    for told in (DeliveryStatus.FAILED, DeliveryStatus.SENT, DeliveryStatus.DELIVERED):
        desk.apply(status(told, "b1", attempt=desk.bubble("b1").attempt))
        assert kept(desk) is desk.bubble("b1").shown
