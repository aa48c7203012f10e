"""What of an environment with a proxy, which is for what is far away, reaches what is near."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from pydantic import SecretStr
from typer.testing import CliRunner

from agents.adapters.llm import OpenAIModel, client
from agents.adapters.whatsapp import open_client
from agents.ports import Prompt
from streams.cli import build
from streams.clock import WallClock
from streams.kafka.registry import Registry
from streams.settings import Settings

PROMPT = Prompt(
    messages=({"role": "user", "content": "Oi"},), tools=(), max_tokens=9, timeout_s=5.0
)


async def said(_: web.Request) -> web.Response:
    return web.json_response({"choices": [{"message": {"content": "Oi!"}}], "model": "near"})


async def level(_: web.Request) -> web.Response:
    return web.json_response({"compatibilityLevel": "FULL"})


async def none(_: web.Request) -> web.Response:
    return web.json_response({"conversations": []})


@pytest.fixture
async def near(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Lend the address of a server on this machine; the proxy of the environment knows none."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", said)
    app.router.add_get("/config/a-value", level)
    app.router.add_get("/v1/conversations", none)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    yield f"http://{host}:{port}"
    await runner.cleanup()


async def test_a_model_on_this_machine_is_asked_past_the_proxy(near: str) -> None:
    model = OpenAIModel(client(f"{near}/v1", "key"), "near", clock=WallClock())

    completion = await model.complete(PROMPT, agent="triage")
    await model.close()

    assert completion.text == "Oi!"


async def test_a_registry_on_this_machine_is_asked_past_the_proxy(near: str) -> None:
    assert await Registry(near).compatibility("a-value") == "FULL"


async def test_a_simulator_on_this_machine_is_asked_past_the_proxy(near: str) -> None:
    async with open_client(f"{near}/v25.0", 2.0) as http:
        assert http._default_proxy is None


async def test_no_proxy_sees_the_token_of_the_peoples_api(
    near: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Settings(api_token=SecretStr("t"), api_port=urlsplit(near).port or 0)
    monkeypatch.setattr("streams.settings.settings", lambda: here)

    told = await asyncio.to_thread(
        CliRunner().invoke, build(), ["conversations", "--tenant", "demo"]
    )

    assert told.exit_code == 0, told.exception
