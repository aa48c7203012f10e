from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from schemas.events import Command
from streams.local.chaos import customers as customers_module
from streams.local.chaos.customers import Customers
from streams.local.chaos.workload import Act, Ask, Crowd, Write, workload
from streams.local.load.plan import Outgoing, Sort
from streams.local.outside import Outside
from streams.settings import Settings

CROWD = Crowd(run="abc", seed=1, conversations=1, messages=3, rate=50.0)
KEY = "ab" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def now_ms(self) -> int:
        self.now += 1
        return self.now


class Ours:
    """Our webhook and API: each gives the listed answers, then takes everything."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.seen: list[str] = []
        self.replies: list[str] = []

    async def webhook(self, request: web.Request) -> web.StreamResponse:
        value = orjson.loads(await request.read())["entry"][0]["changes"][0]["value"]
        self.seen.append(value["messages"][0]["id"])
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    async def relay(self, request: web.Request) -> web.StreamResponse:
        """Stand for the simulator: it tells what our webhook answered."""
        status = (await self.webhook(request)).status
        told = {"webhook_status": status}
        return web.json_response(told, status=200 if status == 200 else 502)

    async def api(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Bearer token"
        self.seen.append(request.path.rpartition("/")[2])
        self.replies += filter(None, [(await request.json()).get("text")])
        return web.Response(status=self.answers.pop(0) if self.answers else 202)


@asynccontextmanager
async def facing(
    ours: Ours, patience_s: float = 5.0, *, by_simulator: bool = False
) -> AsyncIterator[Customers]:
    app = web.Application()
    app.router.add_post("/_simulator/webhook", ours.relay)
    app.router.add_post("/webhooks/whatsapp/{app}", ours.webhook)
    app.router.add_post("/v1/conversations/{conversation}/{command}", ours.api)
    async with TestServer(app) as server, aiohttp.ClientSession() as client:
        current = Settings(
            simulator_app_secret=SecretStr("planted"),
            hash_key=SecretStr(KEY),
            api_token=SecretStr("token"),
            webhook_port=server.port or 0,
            api_port=server.port or 0,
            whatsapp_api_url=str(server.make_url("/v25.0")),
        )
        world = Outside(current, client)
        yield Customers(
            current, world, Clock(), CROWD, patience_s=patience_s, by_simulator=by_simulator
        )


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customers_module, "FIRST_WAIT_S", 0.001)


def write(number: int) -> Write:
    message = Outgoing(
        customer="5500",
        sequence=number,
        wamid=f"w{number}",
        sort=Sort.QUESTION,
        text="?",
        target="",
        expects=frozenset(),
    )
    return Write(due_s=0.0, message=message, alone=True)


async def test_a_message_is_posted_until_it_is_taken_and_every_answer_is_noted() -> None:
    ours = Ours(503, 500, 200)

    async with facing(ours) as customers:
        await customers.play([[write(1), write(2)]])

    assert ours.seen == ["w1", "w1", "w1", "w2"]
    assert [posted.refusals for posted in customers.posted] == [{"503": 1, "500": 1}, {}]
    assert all(posted.answered_ms > posted.began_ms for posted in customers.posted)
    assert customers.refused == Counter({"503": 1, "500": 1})


async def test_a_refusal_that_will_not_change_is_noted_and_not_repeated() -> None:
    ours = Ours(400)

    async with facing(ours) as customers:
        await customers.play([[write(1)]])

    assert ours.seen == ["w1"]
    assert [(p.answered_ms, p.refusals) for p in customers.posted] == [(0, {"400": 1})]


async def test_a_webhook_that_is_away_is_noted_as_no_answer() -> None:
    async with facing(Ours(), patience_s=0.0) as customers:
        customers.world.webhook = "http://127.0.0.1:1/webhooks"
        await customers.play([[write(1)]])

    assert [(p.answered_ms, p.refusals) for p in customers.posted] == [(0, {"0": 1})]


async def test_what_our_webhook_answered_is_noted_of_a_message_that_went_by_the_simulator() -> None:
    ours = Ours(503, 0, 200)

    async with facing(ours, by_simulator=True) as customers:
        customers.world.webhook = "http://127.0.0.1:1/webhooks"
        await customers.play([[write(1), write(2)]])

    assert ours.seen == ["w1", "w1", "w1", "w2"]
    assert [posted.refusals for posted in customers.posted] == [{"503": 1, "0": 1}, {}]


async def test_a_person_asks_again_until_the_conversation_is_known() -> None:
    asks: list[Act] = [
        Ask(due_s=0.0, customer="5500", command=command, request_id=f"r{number}")
        for number, command in enumerate((Command.TAKEOVER, None))
    ]
    ours = Ours(404)

    async with facing(ours) as customers:
        await customers.play([asks])

    assert ours.seen == ["takeover", "takeover", "reply"]
    assert [CROWD.marker in reply for reply in ours.replies] == [True]  # so that a leak is found
    assert [(asked.command, asked.answered_ms > 0) for asked in customers.asked] == [
        ("takeover", True),
        ("", True),
    ]
    assert customers.asked[0].conversation_id == customers.conversation_of("5500")


async def test_messages_of_a_planned_workload_count_as_begun() -> None:
    async with facing(Ours()) as customers:
        await customers.play(workload(CROWD))

    assert customers.begun == 3
