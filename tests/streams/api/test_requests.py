"""What people ask, as events."""

from __future__ import annotations

from schemas.events import Command
from sinks.conversations import Place
from streams.api.requests import Tag, control_event

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
