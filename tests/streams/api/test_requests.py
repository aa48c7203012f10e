"""What people ask, as events."""

from __future__ import annotations

import pytest

from schemas.events import Command
from sinks.conversations import Place
from streams.api.requests import Pause, Tag, control_event
from streams.story.telling import tell

PLACE = Place(
    tenant_id="acme", conversation_id="conv_1", customer_id="cust_1", phone_number_id="1122"
)


def test_two_tags_that_are_asked_under_one_key_are_two_events() -> None:
    one, again, other = (
        control_event(PLACE, Command.TAG, Tag(tag=tag), "ticket-7", now_ms=1)
        for tag in ("vip", "vip", "atendimento-humano")
    )

    assert one == again
    assert one.event_id != other.event_id
    assert one.idempotency_key != other.idempotency_key


@pytest.mark.parametrize(
    ("until", "shown"),
    [
        ("9999-12-31T23:59:59-03:00", "9999-12-31 23:59:59"),
        ("0001-01-01T00:00:00+03:00", "1970-01-01 00:00:00"),
    ],
)
def test_the_end_of_a_pause_is_a_date_for_everybody_who_reads_it(until: str, shown: str) -> None:
    pause = Pause.model_validate({"until": until})
    event = control_event(PLACE, Command.PAUSE, pause, "ticket-7", now_ms=1)

    assert any(detail.value.startswith(shown) for detail in tell(event).details)
