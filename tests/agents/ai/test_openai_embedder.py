from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx2
import pytest

from agents.adapters.embedder import OpenAIEmbedder
from schemas.errors import Refusing, Rejected, Unavailable
from tests.agents.ai.test_llm import Handler, Provider, failing, status


def says(answer: Any) -> Handler:
    return lambda _: httpx2.Response(200, json=answer)


def written(text: str) -> Handler:
    kind = {"content-type": "application/json"}
    return lambda _: httpx2.Response(200, content=text.encode(), headers=kind)


def rows(*vectors: Any) -> Handler:
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(vectors)
    ]
    return says({"object": "list", "model": "m", "data": data})


async def test_embeddings_are_unit_vectors_in_the_order_of_the_texts() -> None:
    rows = [
        {"object": "embedding", "index": 1, "embedding": [0.0, 2.0, *[0.0] * 510]},
        {"object": "embedding", "index": 0, "embedding": [3.0, 4.0, *[0.0] * 510]},
    ]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    answer = {"object": "list", "model": "m", "data": rows, "usage": usage}
    provider = Provider(lambda _: httpx2.Response(200, json=answer))
    embedder = OpenAIEmbedder(provider.api, "m")

    first, second = await embedder.embed(["a", "b"])

    assert (first[:2], second[:2]) == ([0.6, 0.8], [0.0, 1.0])
    assert provider.requests[0]["dimensions"] == 512
    assert await embedder.embed([]) == []


@pytest.mark.parametrize("text", ["oi " * 6_000, "\N{PERSON FROWNING}" * 4_096, "\u20ac" * 8_000])
async def test_no_text_has_more_tokens_than_a_model_takes(text: str) -> None:
    provider = Provider(rows([1.0] * 512))

    await OpenAIEmbedder(provider.api, "m").embed([text])

    (sent,) = provider.requests[0]["input"]
    assert text.startswith(sent)
    assert 7_900 < len(sent.encode()) < 8_192, "a token is at least one byte"


@pytest.mark.parametrize(
    "handler",
    [
        status(408),
        status(429),
        status(500),
        failing(httpx2.ConnectError("no")),
        failing(httpx2.StreamError("cut off")),
        failing(aiohttp.ClientPayloadError("cut off")),
        failing(TimeoutError()),
        failing(OSError("no route")),
        lambda _: httpx2.Response(200, text="<html>a gateway</html>"),
        written('{"data": ['),
        says({}),
        says({"data": None}),
        rows(None),
        rows([1.0] * 512, [1.0] * 512),
    ],
)
async def test_an_embedder_that_is_down_or_garbled_is_waited_for(handler: Handler) -> None:
    """Nothing is given up for it: with a fuse's worth of events the worker would stop."""
    with pytest.raises(Unavailable) as caught:
        await OpenAIEmbedder(Provider(handler).api, "m").embed(["a"])

    assert not isinstance(caught.value, Refusing)


@pytest.mark.parametrize("handler", [status(401), status(403), status(404), rows([1.0])])
async def test_an_embedder_that_refuses_us_is_waited_for_and_says_what_to_check(
    handler: Handler,
) -> None:
    with pytest.raises(Refusing, match="check OPENAI_BASE_URL, OPENAI_API_KEY"):
        await OpenAIEmbedder(Provider(handler).api, "m").embed(["a"])


async def test_only_what_it_says_of_the_texts_is_their_fault() -> None:
    with pytest.raises(Rejected, match="embedding_refused"):
        await OpenAIEmbedder(Provider(status(400)).api, "m").embed(["a"])


async def test_an_answer_that_comes_byte_by_byte_is_not_waited_for_without_end() -> None:
    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0)

    kind = {"content-type": "application/json"}
    provider = Provider(lambda _: httpx2.Response(200, content=drops(), headers=kind))

    with pytest.raises(Unavailable):
        await asyncio.wait_for(OpenAIEmbedder(provider.api, "m", limit_s=0.05).embed(["a"]), 10)
