from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.local.simulator.envelopes import sign
from streams.local.simulator.webhook import UNREACHABLE, Webhook

PATH = "/webhooks/whatsapp/simulator"


@asynccontextmanager
async def served(status: int, taken: list[tuple[bytes, str]]) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        taken.append((await request.read(), request.headers["X-Hub-Signature-256"]))
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_post(PATH, answer)
    async with TestServer(app) as server:
        yield str(server.make_url(PATH))


async def test_a_body_is_signed_as_it_is() -> None:
    taken: list[tuple[bytes, str]] = []
    body = '{"olá": 1}'.encode()

    async with served(200, taken) as url, aiohttp.ClientSession() as client:
        status = await Webhook(client, url, b"planted").post(body)

    assert status == 200
    assert taken == [(body, sign(b"planted", body))]


async def test_an_answer_is_told_as_it_is() -> None:
    answers = []
    for status in (500, 503, 302):
        async with served(status, []) as url, aiohttp.ClientSession() as client:
            answers.append(await Webhook(client, url, b"planted").post(b"{}"))

    assert answers == [500, 503, 302]


async def test_a_webhook_that_is_away_is_told_apart() -> None:
    async with served(200, []) as url:
        pass

    async with aiohttp.ClientSession() as client:
        assert await Webhook(client, url, b"planted").post(b"{}") == UNREACHABLE
