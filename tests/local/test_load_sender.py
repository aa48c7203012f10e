from __future__ import annotations

import hashlib
import hmac
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from schemas.errors import Misconfigured, Unavailable
from streams.local import outside as outside_module
from streams.local.load.plan import plan
from streams.local.load.run import Sender, accepted
from streams.local.outside import Outside, conversation_of
from streams.settings import Settings

CURRENT = Settings(
    simulator_app_secret=SecretStr("planted"),
    whatsapp_api_url="http://127.0.0.1:8100/v25.0",
    webhook_port=8000,
)


class Clock:
    def now_ms(self) -> int:
        return 1_700_000_000_000


class Webhook:
    """Our webhook: takes signed bodies, refuses the first of them when told."""

    def __init__(self, refusals: int = 0) -> None:
        self.order: dict[str, list[str]] = defaultdict(list)
        self.refusals = refusals
        self.told: Callable[[int], object] = lambda _: None  # how many of a customer it has

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        digest = hmac.new(b"planted", body, hashlib.sha256).hexdigest()
        assert request.headers["X-Hub-Signature-256"] == f"sha256={digest}"
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=503)
        value = orjson.loads(body)["entry"][0]["changes"][0]["value"]
        message = value["messages"][0]
        self.order[message["from"]].append(message["id"])
        self.told(len(self.order[message["from"]]))
        return web.Response()


@asynccontextmanager
async def facing(webhook: Webhook) -> AsyncIterator[Outside]:
    """The outside of a stack whose webhook this is."""
    app = web.Application()
    app.router.add_post("/webhooks/whatsapp/simulator", webhook.answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as client:
        yield Outside(CURRENT.model_copy(update={"webhook_port": server.port}), client)


async def test_each_conversation_is_sent_in_its_order() -> None:
    webhook = Webhook()
    made = plan(20, 200, run="run", seed=1)
    async with facing(webhook) as world:
        sender = Sender(world, Clock())
        await sender.send(made)

    assert webhook.order == {each[0].customer: [m.wamid for m in each] for each in made}
    assert len(sender.sent) == 200


async def test_a_sender_that_is_stopped_begins_no_further_message() -> None:
    webhook = Webhook()
    async with facing(webhook) as world:
        sender = Sender(world, Clock())

        def told(count: int) -> None:
            if count == 5:
                sender.stop()

        webhook.told = told
        await sender.send(plan(1, 200, run="run", seed=1))

    (received,) = webhook.order.values()
    assert len(received) == len(sender.sent) == 5


async def test_a_refused_message_is_sent_again_before_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outside_module, "FIRST_DELAY_S", 0.0001)
    webhook = Webhook(refusals=3)
    made = plan(1, 5, run="run", seed=1)
    async with facing(webhook) as world:
        await Sender(world, Clock()).send(made)

    assert webhook.order[made[0][0].customer] == [m.wamid for m in made[0]]
    assert world.repeated == 3


async def test_a_webhook_that_never_answers_ends_the_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outside_module, "FIRST_DELAY_S", 0.0001)
    webhook = Webhook(refusals=1000)
    async with facing(webhook) as world:
        with pytest.raises(Unavailable):
            await world.post(b"{}")


async def test_without_the_secret_nothing_starts() -> None:
    async with aiohttp.ClientSession() as client:
        with pytest.raises(Misconfigured, match="SIMULATOR_APP_SECRET"):
            Outside(Settings(simulator_app_secret=SecretStr("")), client)


def test_the_simulators_book_names_conversations() -> None:
    entry = {
        "number": 7,
        "callback_data": "v1|demo|conv_1|cust_1|bubble-1|1",
        "bubble_id": "bubble-1",
        "wamid": "wamid.x",
    }

    assert [(a.number, a.conversation_id) for a in accepted({"messages": [entry]})] == [
        (7, "conv_1")
    ]
    assert conversation_of("foreign") == ""
