from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import httpx
import orjson
import pytest
import uvicorn

from agents.adapters.whatsapp import WhatsAppCourier, open_client
from agents.ports import Accepted, Letter, Receipt, Refused, Unknown
from streams.clock import WallClock
from streams.local.simulator import Simulator, application
from streams.local.simulator.script import Kind, Wish, wishes
from streams.local.simulator.server import Cuttable
from streams.server.listening import listen
from streams.whatsapp import Message, Status, parse
from tests.local.simulator.surroundings import AUTH, NUMBER, Clock, Webhook

PATH = f"/v25.0/{NUMBER}/messages"
ANA, BRUNO = "5511999990001", "5511999990002"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
async def running(simulator: Simulator) -> AsyncIterator[Simulator]:
    """The simulator, telling and delivering what is due."""
    task = asyncio.create_task(simulator.run())
    yield simulator
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def base_url(running: Simulator) -> AsyncIterator[str]:
    """The simulator behind its real server."""
    config = uvicorn.Config(application(running), http=Cuttable, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    listening = listen("127.0.0.1", 0, "PORT")
    task = asyncio.create_task(server.serve(sockets=[listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await task


def wish(simulator: Simulator, text: str) -> None:
    for each in wishes(text):
        simulator.script.add(each)


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 - counters are watched, not events
            await asyncio.sleep(0.005)


class Token:
    async def token(self, _phone_number_id: str) -> str:
        return "planted"


def letter(bubble: str = "bubble-1") -> Letter:
    return Letter(
        tenant_id="demo",
        phone_number_id=NUMBER,
        wa_id=ANA,
        user_id=None,
        text="Olá",
        reply_to_wamid=None,
        callback_data=f"v1|demo|conv|cust|{bubble}|1",
    )


async def posted(base_url: str, times: int = 1, *, timeout_s: float = 10.0) -> list[Receipt]:
    """Post messages with the pipeline's own courier; return what it makes of the answers."""
    client = open_client(f"{base_url}/v25.0", timeout_s)
    async with client:
        courier = WhatsAppCourier(client, Token(), clock=WallClock())
        return [await courier.post(letter(f"bubble-{n}"), until_ms=2**62) for n in range(times)]


def acts(simulator: Simulator, kind: Kind) -> list[dict[str, Any]]:
    return simulator.journal.select(kind=kind)


async def test_a_message_that_is_cut_off_was_accepted(base_url: str, running: Simulator) -> None:
    wish(running, "cut=1")

    receipts = await posted(base_url, 2)

    assert receipts[0] == Unknown(reason="cut")
    assert isinstance(receipts[1], Accepted)
    cut, _ = running.book.entries
    (act,) = acts(running, Kind.CUT)
    assert (act["ids"], act["detail"]) == ((cut.wamid,), {"bubble": "bubble-0"})


async def test_what_a_gateway_answers_was_accepted(base_url: str, running: Simulator) -> None:
    wish(running, "gateway=1")

    assert await posted(base_url) == [Unknown(reason="bad_answer")]
    assert len(running.book.entries) == len(acts(running, Kind.GATEWAY)) == 1


async def test_a_slow_answer_comes_after_the_senders_patience(
    base_url: str, running: Simulator
) -> None:
    wish(running, "slow=1:seconds=5")

    assert await posted(base_url, timeout_s=0.2) == [Unknown(reason="timeout")]
    assert len(running.book.entries) == len(acts(running, Kind.SLOW)) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("error=1", Refused(code=2, status=503, title="OAuthException")),
        ("error=1:status=500", Refused(code=131000, status=500, title="OAuthException")),
        ("error=1:status=429", Refused(code=80007, status=429, title="OAuthException")),
        (
            "error=1:status=400:code=131056",
            Refused(code=131056, status=400, title="OAuthException"),
        ),
    ],
)
async def test_an_error_is_no_acceptance(
    base_url: str, running: Simulator, text: str, expected: Refused
) -> None:
    wish(running, text)

    assert await posted(base_url) == [expected]
    assert not running.book.entries
    (act,) = acts(running, Kind.ERROR)
    assert act["detail"] == {"bubble": "bubble-0", "status": expected.status, "code": expected.code}


async def test_errors_come_in_bursts(base_url: str, running: Simulator) -> None:
    wish(running, "error=1:burst=3")

    receipts = await posted(base_url, 5)

    assert [isinstance(each, Refused) for each in receipts] == [True] * 3 + [False] * 2


async def test_an_account_that_called_too_often_is_told_when_to_come_again(
    client: httpx.AsyncClient, simulator: Simulator
) -> None:
    wish(simulator, "error=1:status=429")

    answer = await client.post(PATH, json={"type": "text"}, headers=AUTH)

    usage = orjson.loads(answer.headers["x-business-use-case-usage"])
    assert [each["estimated_time_to_regain_access"] for (each,) in usage.values()] == [1]


def statuses(webhook: Webhook) -> list[tuple[str, str | None]]:
    return [
        (part.status, part.callback)
        for body in webhook.bodies
        for part in parse(body)
        if isinstance(part, Status)
    ]


async def test_a_status_may_come_before_the_answer(
    client: httpx.AsyncClient, simulator: Simulator, webhook: Webhook
) -> None:
    """The simulator's tasks do not run here: what was told was told before the answer."""
    wish(simulator, "early_status=1")
    body = {
        "messaging_product": "whatsapp",
        "to": ANA,
        "text": {"body": "Olá"},
        "biz_opaque_callback_data": "v1|demo|conv|cust|bubble-1|1",
    }

    answer = await client.post(PATH, json=body, headers=AUTH)

    assert answer.status_code == 200
    assert statuses(webhook) == [("sent", "v1|demo|conv|cust|bubble-1|1")]
    assert simulator.postman.waiting == 2
    assert acts(simulator, Kind.EARLY_STATUS)[0]["detail"] == {"bubble": "bubble-1", "status": 200}


async def test_a_message_may_fail_after_it_was_accepted(
    base_url: str, running: Simulator, webhook: Webhook, clock: Clock
) -> None:
    wish(running, "failed=1:code=131047")
    await posted(base_url)
    clock.now += 1000
    await until(lambda: bool(webhook.bodies))

    (part,) = parse(webhook.bodies[0])
    assert isinstance(part, Status)
    assert (part.status, part.error_code) == ("failed", 131047)
    error = orjson.loads(part.raw)["errors"][0]
    assert error["title"] == "Re-engagement message"
    assert error["error_data"]["details"].startswith("Message failed to send because more than 24")


def said(customer: str, text: str = "Oi") -> dict[str, Any]:
    return {"phone_number_id": NUMBER, "from": customer, "text": text, "name": "Cliente"}


async def say(client: httpx.AsyncClient, customer: str) -> str:
    answer = await client.post("/_simulator/messages", json=said(customer))
    assert answer.status_code == 200
    wamid: str = answer.json()["wamid"]
    return wamid


def wamids(body: bytes) -> list[str]:
    return [part.wamid for part in parse(body) if isinstance(part, Message)]


async def test_a_message_is_delivered_again_at_once(
    client: httpx.AsyncClient, running: Simulator, webhook: Webhook
) -> None:
    wish(running, "redeliver=1:copies=3")

    wamid = await say(client, ANA)
    await until(lambda: bool(acts(running, Kind.REDELIVER)))

    assert len(webhook.bodies) == 4
    assert len(set(webhook.bodies)) == 1
    (act,) = acts(running, Kind.REDELIVER)
    assert (act["ids"], act["detail"]) == ((wamid,), {"copies": 3, "taken": 3})


async def test_a_message_is_delivered_again_for_almost_seven_days(
    client: httpx.AsyncClient, running: Simulator, webhook: Webhook, clock: Clock
) -> None:
    wish(running, "late=1")
    await say(client, ANA)
    began = clock.now
    for hours in (1, 6, 24, 72, 7 * 24):
        clock.now = began + hours * HOUR_MS
        await until(lambda: running.again.waiting == 0 and _none_due(running))

    assert len(webhook.bodies) == 6
    assert len(set(webhook.bodies)) == 1
    assert [act["detail"]["delivery"] for act in acts(running, Kind.LATE)] == [1, 2, 3, 4, 5]
    assert acts(running, Kind.LATE)[-1]["at_ms"] - began == 7 * DAY_MS


def _none_due(simulator: Simulator) -> bool:
    due = simulator.again.due
    return not due or due[0][0] > simulator.clock.now_ms()


async def test_customers_may_overtake_one_another_but_not_themselves(
    client: httpx.AsyncClient, running: Simulator, webhook: Webhook
) -> None:
    wish(running, "reorder=1:seconds=5")

    async def two(customer: str) -> list[str]:
        return [await say(client, customer), await say(client, customer)]

    late = asyncio.create_task(two(ANA))
    await asyncio.sleep(0)
    early = [await say(client, BRUNO) for _ in range(3)]
    held = await late

    arrived = [wamid for body in webhook.bodies for wamid in wamids(body)]
    assert sorted(arrived, key=[*early, *held].index) == arrived
    (act,) = acts(running, Kind.REORDER)
    assert act["detail"]["overtaken_by"] == 3


async def test_a_batch_holds_messages_and_statuses_of_many_customers(
    base_url: str, running: Simulator, webhook: Webhook
) -> None:
    wish(running, "batch=3:seconds=0.1")

    async with aiohttp.ClientSession(base_url) as client:

        async def one(customer: str) -> int:
            async with client.post("/_simulator/messages", json=said(customer)) as answer:
                return answer.status

        customers = [ANA, BRUNO, "5511999990003"]
        gathering = asyncio.gather(*(one(customer) for customer in customers))
        await until(lambda: len(running.mailroom.gathered) == 3)
        running.mailroom.due = lambda: [(NUMBER, {"id": "wamid.1", "status": "sent"})]
        assert await gathering == [200, 200, 200]

    (body,) = [body for body in webhook.bodies if wamids(body)]
    parts = list(parse(body))
    assert [part.sender.wa_id for part in parts if isinstance(part, Message)] == customers
    assert [part.wamid for part in parts if isinstance(part, Status)] == ["wamid.1"]
    (act,) = acts(running, Kind.BATCH)
    assert act["detail"] == {"messages": 3, "statuses": 1, "status": 200}


async def test_a_batch_has_at_most_a_thousand_updates(running: Simulator, webhook: Webhook) -> None:
    wish(running, "batch=1.0:seconds=0.05")
    waiting = [(NUMBER, {"id": f"wamid.out-{n}", "status": "sent"}) for n in range(500)]
    running.mailroom.due = lambda: [waiting.pop() for _ in range(len(waiting))]
    bodies = [running.customer(said(str(5_511_000_000_000 + n)))[1] for n in range(1200)]

    answers = await asyncio.gather(*map(running.mailroom.deliver, bodies))

    assert answers == [200] * 1200
    held = [act["detail"] for act in acts(running, Kind.BATCH)]
    assert [(act["messages"], act["statuses"]) for act in held] == [(1000, 0), (200, 500)]
    assert len(webhook.bodies) == 2
    assert len({wamid for body in webhook.bodies for wamid in wamids(body)}) == 1200


async def test_a_customer_without_a_phone_number_never_has_one(
    client: httpx.AsyncClient, running: Simulator, webhook: Webhook
) -> None:
    wish(running, "bsuid=1")
    running.meta.on = True
    for customer in (ANA, BRUNO, ANA):
        await say(client, customer)
    first, other, again = (parse(body)[0] for body in webhook.bodies)

    assert isinstance(first, Message)
    assert isinstance(other, Message)
    assert isinstance(again, Message)
    assert first.sender == again.sender
    assert (first.sender.wa_id, first.sender.name) == (None, "Cliente")
    assert (first.sender.user_id or "").startswith("BR.")
    assert other.sender.wa_id == BRUNO
    assert ANA.encode() not in webhook.bodies[0]
    answer = await client.post(
        PATH,
        json={
            "messaging_product": "whatsapp",
            "recipient": first.sender.user_id,
            "text": {"body": "Olá"},
        },
        headers=AUTH,
    )
    assert answer.status_code == 200, "the window is that of the user id"


async def test_a_body_that_was_refused_is_kept_if_wanted(
    client: httpx.AsyncClient, running: Simulator, webhook: Webhook, clock: Clock
) -> None:
    webhook.answers = [503]
    message = {"from": ANA, "id": "wamid.1", "type": "text", "text": {"body": "Oi"}}
    value = {"metadata": {"phone_number_id": NUMBER}, "messages": [message]}
    body = {
        "object": "x",
        "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}],
    }

    answer = await client.post("/_simulator/webhook?keep=1", json=body)
    clock.now += 1000
    await until(lambda: running.again.retried == 1)

    assert (answer.status_code, answer.json()) == (502, {"webhook_status": 503})
    assert [orjson.loads(each) for each in webhook.bodies] == [body, body]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"entry": []}'])
async def test_what_is_no_webhook_body_is_not_delivered(
    client: httpx.AsyncClient, webhook: Webhook, body: bytes
) -> None:
    answer = await client.post("/_simulator/webhook", content=body)

    assert answer.status_code == 400
    assert not webhook.bodies


async def test_misbehaviour_is_asked_for_and_ended_over_http(
    client: httpx.AsyncClient, simulator: Simulator
) -> None:
    wanted = {"wishes": [{"kind": "error", "times": 2, "status": 500}]}
    await client.post("/_simulator/misbehaviour", json=wanted)
    before = await client.post(PATH, json={"type": "text"}, headers=AUTH)
    await client.delete("/_simulator/misbehaviour")
    after = await client.post(PATH, json={"type": "text"}, headers=AUTH)

    assert (before.status_code, after.status_code) == (500, 400)
    state = (await client.get("/_simulator/control")).json()
    assert (state["misbehaviour"], state["happened"]) == ([], {"error": 1})
    told = (await client.get("/_simulator/journal?kind=error")).json()
    assert told["total"] == len(told["acts"]) == 1
    assert (await client.get("/_simulator/journal?after=1")).json()["acts"] == []
    assert simulator.script.made == 1


@pytest.mark.parametrize(
    "body",
    [
        {"wishes": [{"kind": "nonsense", "times": 1}]},
        {"wishes": [{"kind": "cut"}]},
        {"wishes": [{"kind": "cut", "times": 0}]},
        {"wishes": [{"kind": "cut", "times": 1, "unknown": 1}]},
        {"wishes": 1},
    ],
)
async def test_a_wish_that_cannot_be_meant_is_refused(
    client: httpx.AsyncClient, simulator: Simulator, body: dict[str, Any]
) -> None:
    answer = await client.post("/_simulator/misbehaviour", json=body)

    assert answer.status_code == 400
    assert simulator.script.made == 0


async def test_the_journal_names_no_customer(
    base_url: str, running: Simulator, webhook: Webhook
) -> None:
    wish(running, "cut=1,status_twice=1,redeliver=1,bsuid=1,batch=1:seconds=0")
    await posted(base_url)
    async with aiohttp.ClientSession(base_url) as client:
        await client.post("/_simulator/messages", json=said(ANA, "segredo"))
    await until(lambda: bool(acts(running, Kind.REDELIVER)))

    told = str(running.journal.select())
    assert not [word for word in (ANA, "segredo", "Cliente", "BR.") if word in told]
    assert {act["kind"] for act in running.journal.select()} == {
        *(Kind.CUT, Kind.STATUS_TWICE, Kind.REDELIVER, Kind.BSUID, Kind.BATCH)
    }
    assert webhook.bodies


def test_the_shortest_wish_is_one_time() -> None:
    assert wishes("cut=1") == [Wish(kind=Kind.CUT, times=1)]
