from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from streams.local.simulator import Simulator
from streams.local.simulator.book import bubble_of
from streams.local.simulator.envelopes import wamid
from streams.local.simulator.refusals import Refusal
from streams.local.simulator.rules import SHAPES, Attempt
from tests.local.simulator.surroundings import AUTH, NUMBER, Webhook

PATH = f"/v25.0/{NUMBER}/messages"
CALLBACK = "v1|demo|conv_1|cust_1|bubble-1|1"


def text(body: str = "Olá", **more: object) -> dict[str, Any]:
    return {
        "messaging_product": "whatsapp",
        "to": "+55 11 99999-0001",
        "type": "text",
        "text": {"body": body},
        **more,
    }


async def test_a_message_is_accepted_as_meta_accepts_it(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, json=text(), headers=AUTH)

    assert answer.status_code == 200
    assert answer.json() == {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+55 11 99999-0001", "wa_id": "5511999990001"}],
        "messages": [{"id": wamid(7, 1), "message_status": "accepted"}],
    }
    assert "not WhatsApp" in answer.headers["x-simulator"]


async def test_a_user_id_is_a_recipient(client: httpx.AsyncClient) -> None:
    body = text()
    del body["to"]
    body["recipient"] = "BR.13491208655302741918"

    answer = await client.post(PATH, json=body, headers=AUTH)

    assert answer.json()["contacts"] == [
        {"input": "BR.13491208655302741918", "user_id": "BR.13491208655302741918"}
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda b: b.pop("messaging_product"), 100),
        (lambda b: b.pop("to"), 100),
        (lambda b: b.update(to="x"), 131009),
        (lambda b: b.update(to=NUMBER), 131021),
        (lambda b: b.pop("text"), 131008),
        (lambda b: b.update(text={"body": ""}), 131008),
        (lambda b: b.update(text={"body": "x" * 4097}), 100),
        (lambda b: b.update(text="x"), 100),
        (lambda b: b.update(type="nonsense"), 100),
        (lambda b: b.update(type=["text"]), 100),
        (lambda b: b.update(biz_opaque_callback_data="x" * 513), 100),
        (lambda b: (b.pop("to"), b.update(recipient="5511999990001")), 131009),
        (lambda b: b.update(type="template", template={"name": "t"}), 131008),
        (lambda b: b.update(type="image", image={"id": "1", "link": "https://x"}), 131009),
        (lambda b: b.update(type="reaction", reaction={"message_id": "x"}), 131009),
        (lambda b: b.update(type="contacts", contacts=[]), 131008),
    ],
)
async def test_a_bad_message_gets_metas_code(
    client: httpx.AsyncClient, change: Callable[[dict[str, Any]], object], code: int
) -> None:
    body = text()
    change(body)

    answer = await client.post(PATH, json=body, headers=AUTH)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["error_data"]["messaging_product"] == "whatsapp"


@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic x"}, {"Authorization": "Bearer "}])
async def test_a_request_without_a_token_is_refused(
    client: httpx.AsyncClient, header: dict[str, str]
) -> None:
    answer = await client.post(PATH, json=text(), headers=header)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, 190)


async def test_a_body_that_is_no_json_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, content=b"{", headers=AUTH)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)


def button(number: int, title: str = "Sim") -> dict[str, Any]:
    return {"type": "reply", "reply": {"id": str(number), "title": title}}


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ({"type": "button", "action": {"buttons": [button(1)]}}, 200),
        ({"type": "button", "action": {"buttons": [button(n) for n in range(4)]}}, 400),
        ({"type": "button", "action": {"buttons": [button(1, "x" * 21)]}}, 400),
        ({"type": "list", "action": {"sections": [{"rows": [{"title": "a"}]}]}}, 200),
        ({"type": "list", "action": {"sections": [{"rows": []}]}}, 400),
        ({"type": "list", "action": {"sections": [{"rows": [{"title": "x" * 25}]}]}}, 400),
        ({"type": "list", "action": {}}, 400),
        ({"type": "button"}, 400),
        ({"type": "flow", "action": {}, "body": {"text": "x" * 1025}}, 400),
    ],
)
async def test_choices_are_limited(
    client: httpx.AsyncClient, action: dict[str, Any], status: int
) -> None:
    answer = await client.post(
        PATH, json=text(type="interactive", interactive=action), headers=AUTH
    )

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("receipt", "status"),
    [
        ({"status": "read", "message_id": "wamid.x"}, 200),
        ({"status": "read", "message_id": "wamid.x", "typing_indicator": {"type": "text"}}, 200),
        ({"status": "read", "message_id": "x"}, 400),
        ({"status": "seen", "message_id": "wamid.x"}, 400),
        ({"status": "read", "message_id": "wamid.x", "typing_indicator": {"type": "v"}}, 400),
    ],
)
async def test_a_receipt_is_no_message(
    client: httpx.AsyncClient, simulator: Simulator, receipt: dict[str, Any], status: int
) -> None:
    answer = await client.post(
        PATH, json={"messaging_product": "whatsapp", **receipt}, headers=AUTH
    )

    assert answer.status_code == status
    assert (await client.get("/_simulator/messages")).json()["messages"] == []
    assert simulator.receipts == (status == 200)


async def test_what_was_accepted_can_be_read_in_order(client: httpx.AsyncClient) -> None:
    for number in range(3):
        body = text(f"{number}", biz_opaque_callback_data=f"v1|t|c|u|bubble-{number}|1")
        await client.post(PATH, json=body, headers=AUTH)

    every = (await client.get("/_simulator/messages")).json()
    later = (await client.get("/_simulator/messages?after=2&to=5511999990001")).json()
    other = (await client.get("/_simulator/messages?phone_number_id=9")).json()

    assert [m["text"] for m in every["messages"]] == ["0", "1", "2"]
    assert [m["bubble_id"] for m in every["messages"]] == ["bubble-0", "bubble-1", "bubble-2"]
    assert [m["text"] for m in later["messages"]] == ["2"]
    assert other["messages"] == []
    assert every["duplicates"] == 0


async def test_a_bubble_that_came_twice_is_counted(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await client.post(PATH, json=text(biz_opaque_callback_data=CALLBACK), headers=AUTH)

    book = (await client.get("/_simulator/messages")).json()

    assert book["duplicates"] == 2
    assert book["duplicates_by_bubble"] == {"bubble-1": 2}


async def test_what_was_accepted_can_be_forgotten(client: httpx.AsyncClient) -> None:
    await client.post(PATH, json=text(biz_opaque_callback_data=CALLBACK), headers=AUTH)

    await client.delete("/_simulator/messages")
    await client.post(PATH, json=text(biz_opaque_callback_data=CALLBACK), headers=AUTH)

    book = (await client.get("/_simulator/messages")).json()
    assert [m["number"] for m in book["messages"]] == [2]
    assert book["duplicates"] == 0


async def test_another_rule_is_another_entry_of_the_list(
    client: httpx.AsyncClient, simulator: Simulator
) -> None:
    def pair_rate(_: Attempt) -> Refusal | None:
        return Refusal(131056, "Too many messages.", title="pair rate limit hit")

    simulator.rules = [*SHAPES, pair_rate]

    answer = await client.post(PATH, json=text(), headers=AUTH)

    assert answer.json()["error"]["message"] == "(#131056) pair rate limit hit"


async def test_a_customer_can_be_made_to_write(client: httpx.AsyncClient, webhook: Webhook) -> None:
    said = {"phone_number_id": NUMBER, "from": "5511988887777", "text": "Oi", "name": "Ana"}

    answer = await client.post("/_simulator/messages", json=said)

    value = orjson.loads(webhook.bodies[0])["entry"][0]["changes"][0]["value"]
    assert answer.json() == {"wamid": wamid(7, 1, "in"), "webhook_status": 200}
    assert value["metadata"]["phone_number_id"] == NUMBER
    assert value["contacts"] == [{"wa_id": "5511988887777", "profile": {"name": "Ana"}}]
    assert value["messages"] == [
        {
            "type": "text",
            "text": {"body": "Oi"},
            "from": "5511988887777",
            "id": wamid(7, 1, "in"),
            "timestamp": "1700000000",
        }
    ]


async def test_a_refusal_of_our_webhook_is_told(
    client: httpx.AsyncClient, webhook: Webhook
) -> None:
    webhook.answers = [503]
    said = {"phone_number_id": NUMBER, "from": "5511988887777", "text": "Oi"}

    answer = await client.post("/_simulator/messages", json=said)

    assert (answer.status_code, answer.json()["webhook_status"]) == (502, 503)


@pytest.mark.parametrize("said", [[], {}, {"phone_number_id": "1", "from": "2"}, {"from": "2"}])
async def test_a_customer_who_says_nothing_is_refused(
    client: httpx.AsyncClient, said: object
) -> None:
    answer = await client.post("/_simulator/messages", json=said)

    assert answer.status_code == 400


def test_foreign_callback_data_names_no_bubble() -> None:
    assert bubble_of(CALLBACK) == ("bubble-1", 1)
    assert bubble_of("") == ("", 0)
    assert bubble_of("v2|demo|c|u|b|1") == ("", 0)
    assert bubble_of("v1|demo|c|u|b|x") == ("", 0)


def test_ids_follow_from_seed_and_counter() -> None:
    assert wamid(1, 1) == wamid(1, 1)
    assert len({wamid(s, c, w) for s in (1, 2) for c in (1, 2) for w in ("in", "out")}) == 8
