from __future__ import annotations

from typing import Any

import pytest

from schemas.events import StatusReceived
from schemas.ids import derived, keyed
from tests.streams.webhook.world import NUMBER, TENANT, World, change, envelope

CONVERSATION = keyed("conv", b"key", "any")
CUSTOMER = keyed("cust", b"key", "any")
BUBBLE = derived("bubble", 1)
CALLBACK = f"v1|{TENANT}|{CONVERSATION}|{CUSTOMER}|{BUBBLE}|2"


async def received(**own: Any) -> tuple[World, StatusReceived]:
    world = World()
    status = {"id": "wamid.1", "status": "sent", "timestamp": "1698266945", **own}
    answer = await world.post(envelope(change(statuses=[status])))
    (event,) = world.events()
    assert answer.status_code == 200
    assert isinstance(event, StatusReceived)
    return world, event


async def test_our_callback_data_names_the_conversation_without_a_look_up() -> None:
    world, event = await received(biz_opaque_callback_data=CALLBACK, recipient_id="1")

    assert (event.conversation_id, event.customer_id) == (CONVERSATION, CUSTOMER)
    assert (event.bubble_id, event.attempt) == (BUBBLE, 2)
    assert world.people.asked == []


async def test_a_status_with_callback_data_needs_no_recipient() -> None:
    _, event = await received(biz_opaque_callback_data=CALLBACK)

    assert event.conversation_id == CONVERSATION


@pytest.mark.parametrize(
    "written",
    [
        None,
        "",
        "some data",
        CALLBACK.replace(TENANT, "another"),
        CALLBACK.replace("conv_", "cust_"),
        CALLBACK.replace("v1|", "v2|"),
        CALLBACK + "|x",
        CALLBACK + "9" * 10,
        {"a": 1},
    ],
)
async def test_callback_data_that_is_not_ours_is_not_believed(written: Any) -> None:
    world, event = await received(biz_opaque_callback_data=written, recipient_id="1")

    assert event.bubble_id is None
    assert event.conversation_id == keyed("conv", b"key", TENANT, NUMBER, "wa:1")
    assert len(world.people.asked) == 1


async def test_a_failure_brings_its_code_and_title() -> None:
    errors = [{"code": 131047, "title": "Re-engagement message"}]

    _, event = await received(status="failed", recipient_id="1", errors=errors)

    assert (event.error_code, event.error_title) == (131047, "Re-engagement message")


async def test_a_price_is_read_when_it_is_told() -> None:
    pricing = {"billable": True, "pricing_model": "PMP", "category": "service"}

    _, told = await received(recipient_id="1", pricing=pricing)
    _, untold = await received(recipient_id="1")

    assert (told.billable, told.pricing_category) == (True, "service")
    assert (untold.billable, untold.pricing_category) == (None, None)


async def test_each_status_of_a_message_has_its_own_id_and_a_repetition_the_same() -> None:
    ids = [
        (await received(recipient_id="1", status=status))[1].event_id
        for status in ("sent", "delivered", "sent")
    ]

    assert ids[0] == ids[2]
    assert ids[0] != ids[1]
