from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import uvicorn
from openai import AsyncOpenAI, InternalServerError, RateLimitError
from openai.types.chat import ChatCompletion, ChatCompletionMessageFunctionToolCall

from agents.adapters.llm import OpenAIModel, client
from agents.ports import Prompt
from schemas.errors import Misconfigured, Rejected, Unavailable
from streams.clock import WallClock
from streams.local.model.serve import speaker
from streams.local.model.server import ModelServer, Rules, hashed

HELLO: list[Any] = [{"role": "user", "content": "oi"}]
PROMPT = Prompt(messages=({"role": "user", "content": "oi"},), timeout_s=10.0)


def tools_of(answer: ChatCompletion) -> list[ChatCompletionMessageFunctionToolCall]:
    calls = answer.choices[0].message.tool_calls or []
    return [call for call in calls if call.type == "function"]


@pytest.fixture
def server() -> ModelServer:
    return ModelServer(Rules())


@pytest.fixture
async def http(server: ModelServer) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=server.app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://model") as given:
        yield given


@pytest.fixture
async def api(server: ModelServer) -> AsyncIterator[AsyncOpenAI]:
    transport = httpx2.ASGITransport(app=server.app())
    given = client("http://model/v1", "", transport=transport)
    yield given
    await given.close()


@asynccontextmanager
async def listening(server: ModelServer) -> AsyncIterator[str]:
    """Serve on a real port: what happens to connections cannot be seen without one."""
    config = uvicorn.Config(server.app(), log_level="critical", access_log=False, lifespan="off")
    running = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        task = asyncio.create_task(running.serve(sockets=[listener]))
        while not running.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        running.should_exit = True
        await task


async def test_the_same_request_has_the_same_answer(api: AsyncOpenAI) -> None:
    first = await api.chat.completions.create(model="any", messages=HELLO)
    again = await api.chat.completions.create(model="any", messages=HELLO)

    assert first == again
    assert first.model == "offline-rules"
    assert first.usage is not None
    assert first.usage.total_tokens > 0


async def test_a_streamed_answer_says_the_same_words(api: AsyncOpenAI) -> None:
    whole = await api.chat.completions.create(model="any", messages=HELLO)

    stream = await api.chat.completions.create(
        model="any", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]

    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == whole.choices[0].message.content
    assert chunks[-1].usage is not None
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


async def test_tools_are_asked_for_whole_and_streamed(api: AsyncOpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "any",
        "messages": [{"role": "user", "content": "onde está o pedido 555?"}],
        "tools": [{"type": "function", "function": {"name": "order_status", "parameters": {}}}],
    }

    whole = await api.chat.completions.create(**asked)
    (call,) = tools_of(whole)
    streamed = [chunk async for chunk in await api.chat.completions.create(**asked, stream=True)]

    assert (call.function.name, call.function.arguments) == (
        "order_status",
        '{"order_number":"555"}',
    )
    parts = [part for c in streamed for part in c.choices[0].delta.tool_calls or ()]
    assert parts[0].function is not None
    assert parts[0].function.name == "order_status"
    assert whole.choices[0].finish_reason == "tool_calls"


async def test_every_answer_says_that_this_is_no_real_model(http: httpx2.AsyncClient) -> None:
    response = await http.post("/v1/chat/completions", json={"messages": HELLO})

    assert response.headers["x-model-kind"] == "offline-rules; not a language model"


async def test_the_models_and_the_health_are_told(
    http: httpx2.AsyncClient, api: AsyncOpenAI
) -> None:
    models = await api.models.list()

    assert [model.id for model in models.data] == ["offline-rules", "sentence-encoder"]
    assert (await http.get("/health")).json() == {"status": "ok", "model": "offline-rules"}


async def test_embeddings_come_in_order_with_512_dimensions(api: AsyncOpenAI) -> None:
    answer = await api.embeddings.create(
        model="any", input=["prazo de entrega", "entrega rápida"], encoding_format="float"
    )

    assert [row.index for row in answer.data] == [0, 1]
    assert {len(row.embedding) for row in answer.data} == {512}
    assert answer.model == "sentence-encoder"


def test_without_the_encoder_texts_with_the_same_words_are_near() -> None:
    one, same, other = hashed("frete grátis"), hashed("GRATIS o frete"), hashed("tênis azul")

    def near(a: list[float], b: list[float]) -> float:
        return math.fsum(x * y for x, y in zip(a, b, strict=True))

    assert near(one, same) > 0.8 > near(one, other)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"messages":1}', b'{"messages":' + b"[" * 99])
async def test_a_malformed_chat_request_is_refused(http: httpx2.AsyncClient, body: bytes) -> None:
    response = await http.post("/v1/chat/completions", content=body)

    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"input":7}', b'{"input":[7]}'])
async def test_a_malformed_embedding_request_is_refused(
    http: httpx2.AsyncClient, body: bytes
) -> None:
    assert (await http.post("/v1/embeddings", content=body)).status_code == 400


async def test_queued_faults_happen_once_each_in_order(
    http: httpx2.AsyncClient, api: AsyncOpenAI
) -> None:
    faults = [{"kind": "status", "status": 429, "retry_after_s": 3}, {"kind": "status"}]
    await http.post("/control", json={"faults": faults})

    with pytest.raises(RateLimitError) as limited:
        await api.chat.completions.create(model="any", messages=HELLO)
    with pytest.raises(InternalServerError):
        await api.chat.completions.create(model="any", messages=HELLO)
    await api.chat.completions.create(model="any", messages=HELLO)

    assert limited.value.response.headers["retry-after"] == "3"
    assert (await http.get("/control")).json() == {
        "requests": 3,
        "waiting": [],
        "happened": {"status": 2},
    }
    assert (await http.delete("/control")).json()["requests"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"faults": [{"kind": "nope"}]},
        {"faults": [{"kind": "slow", "colour": 1}]},
        {"faults": 1},
    ],
)
async def test_an_unknown_fault_is_refused(http: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    assert (await http.post("/control", json=body)).status_code == 400


@pytest.mark.parametrize(
    ("kind", "tool"),
    [
        ("wrong_tool", "delete_everything"),
        ("endless_tools", "search_catalogue"),
        ("bad_arguments", "search_catalogue"),
    ],
)
async def test_a_request_may_name_its_own_fault(api: AsyncOpenAI, kind: str, tool: str) -> None:
    answer = await api.chat.completions.create(
        model="any", messages=HELLO, extra_headers={"x-model-fault": kind}
    )

    (call,) = tools_of(answer)
    assert call.function.name == tool


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("status", Unavailable),
        ("invalid_json", Unavailable),
        ("cut", Unavailable),
        ("huge", Rejected),
    ],
)
async def test_faults_reach_the_adapter_over_a_real_connection(
    server: ModelServer, kind: str, error: type[Exception]
) -> None:
    server.faults.add({"faults": [{"kind": kind}]})
    async with listening(server) as url:
        model = OpenAIModel(client(url, ""), "any", clock=WallClock())

        with pytest.raises(error):
            await model.complete(PROMPT, agent="triage")
        assert (await model.complete(PROMPT, agent="triage")).text
        await model.close()


@pytest.mark.parametrize(("kind", "finish"), [("refusal", "refusal"), ("empty", "stop")])
async def test_an_answer_without_words_over_a_real_connection(
    server: ModelServer, kind: str, finish: str
) -> None:
    server.faults.add({"faults": [{"kind": kind}]})
    async with listening(server) as url:
        model = OpenAIModel(client(url, ""), "any", clock=WallClock())

        completion = await model.complete(PROMPT, agent="triage")
        await model.close()

    assert (completion.text, completion.finish_reason) == ("", finish)


async def test_hundreds_of_requests_wait_together() -> None:
    class Gate(Rules):
        """Lets nobody pass before all have come: were they one by one, none would."""

        def __init__(self) -> None:
            super().__init__()
            self.barrier = asyncio.Barrier(300)

        async def reply(self, body: Any) -> Any:
            await self.barrier.wait()
            return await super().reply(body)

    async with listening(ModelServer(Gate())) as url:
        model = OpenAIModel(client(url, ""), "any", clock=WallClock())
        patient = Prompt(messages=PROMPT.messages, timeout_s=120.0)

        answers = await asyncio.gather(
            *[model.complete(patient, agent="triage") for _ in range(300)]
        )
        await model.close()

    assert len({answer.text for answer in answers}) == 1


def test_an_unknown_model_says_which_ones_are_known() -> None:
    with pytest.raises(Misconfigured, match="`offline` or `smollm2`"):
        speaker("gpt", 0)
