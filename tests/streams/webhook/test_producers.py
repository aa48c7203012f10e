from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from schemas.changing import replace
from schemas.events import Command, ControlRequested, MessageReceived
from sinks.producers import Producer
from streams.whatsapp import Message, parse
from streams.whatsapp.events import Belonging, message_received
from streams.whatsapp.people import person
from tests.streams.webhook.world import (
    NOW_MS,
    NUMBER,
    PRODUCER_SECRET,
    TENANT,
    World,
    change,
    envelope,
    standard,
    text,
)

ASKED = {
    "type": "message.received",
    "data": {
        "phone_number_id": NUMBER,
        "from": "+55 11 98765-4321",
        "id": "order-1",
        "text": "Where is it?",
        "timestamp": 1750000000,
        "name": "Maria",
    },
}
TAKEOVER = {
    "type": "control.requested",
    "data": {"phone_number_id": NUMBER, "to": "5511987654321", "command": "takeover"},
}


async def push(
    world: World, payload: Any, headers: dict[str, str] | None = None, *, producer: str = "crm"
) -> httpx.Response:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signed = standard(raw) if headers is None else headers
    async with world.client() as client:
        return await client.post(f"/webhooks/events/{producer}", content=raw, headers=signed)


async def test_a_pushed_message_stands_in_the_conversation_of_the_whatsapp_number() -> None:
    world = World()
    await world.post(envelope(change(messages=[text("wamid.1", "551187654321")])))

    answer = await push(world, ASKED)

    first, second = world.events()
    assert isinstance(second, MessageReceived)
    assert answer.json() == {"event_id": second.event_id}
    assert second.conversation_id == first.conversation_id
    assert second.wamid == "ext:crm:order-1"
    assert (second.text, second.sent_at) == ("Where is it?", 1750000000000)
    assert second.sender == person("+55 11 98765-4321", profile={"name": "Maria"})


async def test_a_repeated_push_is_the_same_event() -> None:
    world = World()

    await push(world, ASKED)
    await push(world, ASKED)

    first, second = world.events()
    assert first == second


async def test_a_command_reaches_the_conversation() -> None:
    world = World()

    answer = await push(world, TAKEOVER)

    (event,) = world.events()
    assert answer.status_code == 200
    assert isinstance(event, ControlRequested)
    assert (event.command, event.request_id) == (Command.TAKEOVER, "crm:evt_1")


async def test_both_secrets_of_a_rotation_are_accepted() -> None:
    world = World()
    new = "whsec_bmV3LXNlY3JldC1uZXctc2VjcmV0"
    world.senders.known["crm"] = Producer(TENANT, (new, PRODUCER_SECRET))
    raw = json.dumps(ASKED).encode()

    old_answer = await push(world, raw)
    new_answer = await push(world, raw, standard(raw, secret=new))

    assert (old_answer.status_code, new_answer.status_code) == (200, 200)


RAW = json.dumps(ASKED).encode()
RIGHT = standard(RAW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**RIGHT, "webhook-signature": ""},
        {**RIGHT, "webhook-signature": "v1"},
        {**RIGHT, "webhook-signature": "v1,not base64!"},
        {**RIGHT, "webhook-signature": RIGHT["webhook-signature"].replace("v1,", "v2,")},
        {**RIGHT, "webhook-id": "evt_2"},
        {**RIGHT, "webhook-timestamp": "nan"},
        {**RIGHT, "webhook-timestamp": "1e400"},
        {**RIGHT, "webhook-timestamp": str(int(RIGHT["webhook-timestamp"]) - 1)},
        standard(RAW, secret="whsec_d3Jvbmcgc2VjcmV0IQ=="),
        standard(RAW, at=1_700_000_000),
        standard(RAW, at=4_000_000_000),
        standard(RAW, webhook_id="x" * 257),
        standard(RAW + b" "),
    ],
)
async def test_a_wrong_signature_is_401_without_a_body(headers: dict[str, str]) -> None:
    world = World()

    answer = await push(world, RAW, headers)

    assert (answer.status_code, answer.content) == (401, b"")
    assert world.log.records == []


async def test_a_body_that_is_no_text_is_401() -> None:
    answer = await push(World(), b"\xff\xfe", standard(b"\xff\xfe"))

    assert answer.status_code == 401


@pytest.mark.parametrize("producer", ["erp", "CRM", "a" * 41, "a%00"])
async def test_an_unknown_producer_is_404(producer: str) -> None:
    answer = await push(World(), ASKED, producer=producer)

    assert answer.status_code == 404


def without(key: str) -> dict[str, Any]:
    return {**ASKED, "data": {name: v for name, v in ASKED["data"].items() if name != key}}  # type: ignore[attr-defined]  # a dict


def other(**changed: Any) -> dict[str, Any]:
    return {**ASKED, "data": {**ASKED["data"], **changed}}  # type: ignore[dict-item]  # a dict


@pytest.mark.parametrize(
    ("payload", "status", "error"),
    [
        (b"{", 400, "not_json"),
        (b"[" * 5000 + b"]" * 5000, 400, "too_deep"),
        (b"7", 422, "bad_payload"),
        ({"type": "message.sent", "data": {}}, 422, "bad_payload"),
        (without("from"), 422, "bad_payload"),
        (without("text"), 422, "bad_payload"),
        (other(text=""), 422, "bad_payload"),
        (other(text="a\x00b"), 422, "bad_payload"),
        (other(text="x" * 16_385), 422, "bad_payload"),
        (other(id="a\nb"), 422, "bad_payload"),
        (other(timestamp=-1), 422, "bad_payload"),
        (other(timestamp=10**18), 422, "bad_payload"),
        (other(phone_number_id="999"), 422, "unknown_channel"),
        ({**TAKEOVER, "data": {**TAKEOVER["data"], "command": "explode"}}, 422, "bad_payload"),  # type: ignore[dict-item]  # a dict
    ],
)
async def test_a_wrong_payload_is_told_without_what_stands_there(
    payload: Any, status: int, error: str
) -> None:
    world = World()
    world.numbers.unknown = {"999"}

    answer = await push(world, payload)

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert "98765" not in answer.text
    assert "Maria" not in answer.text
    assert world.log.records == []


async def test_a_producer_speaks_only_for_its_own_tenant() -> None:
    world = World()
    world.senders.known["crm"] = Producer("another", (PRODUCER_SECRET,))

    answer = await push(world, ASKED)

    assert (answer.status_code, answer.json()["error"]) == (422, "unknown_channel")


async def test_kafka_down_is_503_for_producers_too() -> None:
    world = World()
    world.log.down = True

    answer = await push(world, ASKED)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


async def test_a_pushed_id_never_meets_one_of_whatsapp() -> None:
    world = World()
    await push(world, other(id="wamid.1"))
    await world.post(envelope(change(messages=[text("wamid.1")])))

    pushed, received = world.events()

    assert pushed.idempotency_key != received.idempotency_key
    assert pushed.event_id != received.event_id


def test_a_late_delivery_has_the_ids_of_the_first() -> None:
    (part,) = parse(json.dumps(envelope(change(messages=[text("wamid.1")]))).encode())
    assert isinstance(part, Message)
    at = Belonging(
        tenant_id=TENANT,
        phone_number_id=NUMBER,
        conversation_id="c",
        customer_id="k",
        now_ms=NOW_MS,
    )

    first = message_received(part, at, by_reference=False)
    week_later = message_received(part, replace(at, now_ms=NOW_MS + 7), by_reference=False)

    assert week_later.event_id == first.event_id
    assert week_later.trace_id == first.trace_id
    assert week_later.idempotency_key == first.idempotency_key
