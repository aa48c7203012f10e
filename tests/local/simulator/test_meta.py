from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from streams.local.simulator import Simulator
from tests.local.simulator.surroundings import AUTH, NUMBER, Clock

PATH = f"/v25.0/{NUMBER}/messages"
CUSTOMER = "5511999990001"
HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def rules(simulator: Simulator) -> None:
    simulator.meta.on = True


def text(to: str = CUSTOMER) -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": "Olá"}}


def template(name: str, language: str, *parameters: str) -> dict[str, Any]:
    given = [{"type": "text", "text": each} for each in parameters]
    own = {
        "name": name,
        "language": {"code": language},
        "components": [{"type": "body", "parameters": given}],
    }
    return {**text(), "type": "template", "template": own}


async def send(client: httpx.AsyncClient, body: dict[str, Any]) -> int:
    """Return Meta's code of the refusal, 0 of a message that was accepted."""
    answer = await client.post(PATH, json=body, headers=AUTH)
    code: int = answer.json().get("error", {}).get("code", 0)
    return code


async def hear(client: httpx.AsyncClient, customer: str = CUSTOMER, **more: object) -> None:
    said = {"phone_number_id": NUMBER, "from": customer, "text": "Oi", **more}
    assert (await client.post("/_simulator/messages", json=said)).status_code == 200


async def test_a_customer_who_wrote_may_be_written_to_for_a_day(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    before = await send(client, text())
    await hear(client)
    within = await send(client, text())
    clock.now += 24 * HOUR_MS
    after = await send(client, text())
    await hear(client)
    again = await send(client, text())

    assert [before, within, after, again] == [131047, 0, 131047, 0]


async def test_a_window_is_that_of_the_time_when_the_customer_wrote(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    written_s = clock.now // 1000 - 86_400
    await hear(
        client, message={"type": "text", "text": {"body": "Oi"}, "timestamp": str(written_s)}
    )
    late = await send(client, text())
    await hear(client, message={"type": "revoke", "revoke": {"original_message_id": "wamid.1"}})
    revoked = await send(client, text())

    assert [late, revoked] == [131047, 131047]


async def test_a_message_that_comes_late_shortens_no_window(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    written_s = clock.now // 1000 - 80_000
    await hear(client)
    await hear(
        client, message={"type": "text", "text": {"body": "Oi"}, "timestamp": str(written_s)}
    )
    clock.now += 23 * HOUR_MS

    assert await send(client, text()) == 0


async def test_a_customer_who_came_by_an_ad_may_be_written_to_for_three_days(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    ad = {"source_id": "1", "source_type": "ad"}
    await hear(client, message={"type": "text", "text": {"body": "Oi"}, "referral": ad})
    clock.now += 71 * HOUR_MS
    within = await send(client, text())
    clock.now += HOUR_MS
    after = await send(client, text())

    assert [within, after] == [0, 131047]


async def test_a_window_is_open_under_every_name_of_the_customer(
    client: httpx.AsyncClient,
) -> None:
    await hear(client, user_id="BR.13491208655302741918")
    body = text()
    body["recipient"] = "BR.13491208655302741918"
    del body["to"]

    assert await send(client, body) == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (template("hello_world", "en_US"), 0),
        (template("pedido_atualizado", "pt_BR", "1001", "enviado"), 0),
        (template("pedido_atualizado", "pt_BR", "1001"), 132000),
        (template("hello_world", "pt_BR"), 132001),
        (template("unknown", "pt_BR"), 132001),
    ],
)
async def test_outside_of_the_window_known_templates_may_be_sent(
    client: httpx.AsyncClient, body: dict[str, Any], code: int
) -> None:
    assert await send(client, body) == code


async def test_a_template_opens_no_window(client: httpx.AsyncClient) -> None:
    await send(client, template("hello_world", "en_US"))

    assert await send(client, text()) == 131047


async def test_a_template_can_be_added_and_paused(client: httpx.AsyncClient) -> None:
    known = {"name": "boleto", "language": "pt_BR", "parameters": 1}
    await client.post("/_simulator/templates", json=known)
    added = await send(client, template("boleto", "pt_BR", "R$ 10"))
    await client.post("/_simulator/templates", json={**known, "paused": True})
    paused = await send(client, template("boleto", "pt_BR", "R$ 10"))

    assert [added, paused] == [0, 132015]


async def test_a_pair_may_have_45_messages_at_once(
    client: httpx.AsyncClient, simulator: Simulator, clock: Clock
) -> None:
    await hear(client)
    await hear(client, "5511999990002")
    codes = [await send(client, text()) for _ in range(46)]
    other = await send(client, text("5511999990002"))
    clock.now += 45 * 6_000
    later = await send(client, text())

    assert codes == [0] * 45 + [131056]
    assert (other, later) == (0, 0)
    assert simulator.refusals == {131056: 1}


async def test_a_number_has_its_throughput_and_what_customers_write_counts(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    await client.patch("/_simulator/rules", json={"mps": 5})
    for customer in range(3):
        await hear(client, f"551199999000{customer}")
    codes = [await send(client, text(f"551199999000{n}")) for n in range(3)]
    clock.now += 1000
    later = await send(client, text())

    assert codes == [0, 0, 130429]
    assert later == 0


async def test_receipts_are_no_messages(client: httpx.AsyncClient) -> None:
    await client.patch("/_simulator/rules", json={"mps": 1})
    await hear(client)
    read = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"}

    assert [await send(client, read) for _ in range(3)] == [0, 0, 0]


async def test_a_refused_message_takes_nothing(client: httpx.AsyncClient, clock: Clock) -> None:
    await client.patch("/_simulator/rules", json={"mps": 2})
    await hear(client)
    codes = [await send(client, text()) for _ in range(9)]
    clock.now += 1000
    later = [await send(client, text()) for _ in range(3)]

    assert codes == [0, *[130429] * 8]
    assert later == [0, 0, 130429]


async def test_a_restricted_number_may_not_send_until_it_is_lifted(
    client: httpx.AsyncClient,
) -> None:
    await hear(client)
    await client.patch(f"/_simulator/numbers/{NUMBER}", json={"restricted": True})
    restricted = await send(client, text())
    await client.patch(f"/_simulator/numbers/{NUMBER}", json={"restricted": False})
    lifted = await send(client, text())

    assert [restricted, lifted] == [131048, 0]


async def test_an_upgrade_takes_a_minute_and_gives_a_thousand(
    client: httpx.AsyncClient, simulator: Simulator, clock: Clock
) -> None:
    simulator.meta.mps = 1
    await hear(client)
    await client.patch(f"/_simulator/numbers/{NUMBER}", json={"upgrade": True})
    during = await send(client, text())
    clock.now += 60_000
    after = [await send(client, text()) for _ in range(3)]

    assert (during, after) == (131057, [0, 0, 0])


async def test_with_the_rules_off_nothing_of_it_is_refused_but_all_is_counted(
    client: httpx.AsyncClient,
) -> None:
    await client.patch("/_simulator/rules", json={"meta": False})
    await hear(client)
    off = [await send(client, text("5511999990009")) for _ in range(46)]
    off += [await send(client, template("unknown", "pt_BR"))]
    await client.patch("/_simulator/rules", json={"meta": True, "mps": 1000})
    on = [await send(client, text()), await send(client, text("5511999990009"))]

    assert off == [0] * 47
    assert on == [0, 131047]
    state = (await client.get("/_simulator/control")).json()
    assert state["rules"] == {"meta": True, "mps": 1000}
    assert state["refusals"] == {"131047": 1}
    assert state["busiest_second"] == {NUMBER: 49}


async def test_a_refusal_has_metas_form(client: httpx.AsyncClient) -> None:
    await hear(client)
    for _ in range(45):
        await send(client, text())
    answer = await client.post(PATH, json=text(), headers=AUTH)

    error = orjson.loads(answer.content)["error"]
    assert answer.status_code == 400
    assert "retry-after" not in answer.headers
    assert error.pop("fbtrace_id")
    assert error == {
        "message": "(#131056) (Business Account, Consumer Account) pair rate limit hit",
        "type": "OAuthException",
        "code": 131056,
        "error_data": {
            "messaging_product": "whatsapp",
            "details": (
                "Message failed to send because there were too many messages sent from this"
                " phone number to the same phone number in a short period of time."
            ),
        },
    }
