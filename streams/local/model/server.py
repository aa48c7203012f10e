"""The HTTP server of the offline model: ``/v1/chat/completions`` and what belongs to it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from agents.adapters.sentences import SentenceEmbedder
from agents.adapters.vectors import DIMENSIONS, unit
from schemas.errors import Misconfigured, Unavailable
from streams.local.model import wire
from streams.local.model.faults import HEADER, Fault, Faults
from streams.local.model.reading import read, words
from streams.local.model.rules import Reply, answer

LABEL: Final = "x-model-kind"
HUGE_BYTES: Final = 10 * 1024 * 1024

Handle = Callable[[Request], Awaitable[Response]]


class Speaker(Protocol):
    """What answers a chat request.

    Attributes:
        name: Name of the model.
        label: What it is, for people who look at the answer's headers.
    """

    name: str
    label: str

    async def reply(self, body: Mapping[str, Any]) -> Reply:
        """Return the reply to a chat request.

        Raises:
            Unavailable: It is too busy.
        """


class Rules:
    """The rules of ``offline-rules``.

    Args:
        seed: Chooses among wordings of the same meaning.
    """

    name = wire.MODEL
    label = "offline-rules; not a language model"

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    async def reply(self, body: Mapping[str, Any]) -> Reply:
        """Return the reply to a chat request."""
        return answer(read(body), seed=self._seed)


class ModelServer:
    """The API of OpenAI over a speaker, with latency and faults on demand.

    A waiting request costs one timer and one connection, so thousands may wait.

    Args:
        speaker: Who answers.
        latency_ms: How long each chat answer takes.
    """

    def __init__(self, speaker: Speaker, *, latency_ms: int = 0) -> None:
        self._speaker = speaker
        self._latency_s = latency_ms / 1000
        self._embedder = SentenceEmbedder()
        self.faults = Faults()

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._labelled(self._chat), methods=["POST"]),
                Route("/v1/embeddings", self._labelled(self._embeddings), methods=["POST"]),
                Route("/v1/models", self._labelled(self._models), methods=["GET"]),
                Route("/health", self._labelled(self._health), methods=["GET"]),
                Route("/control", self._labelled(self._control), methods=["GET", "POST", "DELETE"]),
            ]
        )

    def _labelled(self, handle: Handle) -> Handle:
        async def labelled(request: Request) -> Response:
            response = await handle(request)
            response.headers[LABEL] = self._speaker.label
            return response

        return labelled

    async def _chat(self, request: Request) -> Response:
        raw = await request.body()
        body = _object(raw)
        if body is None or not isinstance(body.get("messages"), list):
            return _json(wire.error("expected a JSON object with messages"), 400)
        fault = self.faults.take(request.headers.get(HEADER))
        await asyncio.sleep(fault.seconds if fault and fault.kind == "slow" else self._latency_s)
        if fault is not None and (spoiled := _spoiled(fault, raw)) is not None:
            return spoiled
        try:
            reply = _twisted(fault, body) or await self._speaker.reply(body)
        except Unavailable as exc:
            return _later(exc)
        whole = wire.completion(reply, raw, model=self._speaker.name)
        if fault is not None and fault.kind == "refusal":
            whole["choices"][0]["message"] |= {"content": None, "refusal": "não posso"}
        if fault is not None and fault.kind == "empty":
            whole["choices"][0]["message"]["content"] = ""
        if body.get("stream") is True:
            options = body.get("stream_options")
            counted = isinstance(options, dict) and options.get("include_usage") is True
            events = wire.stream(whole, with_usage=counted)
            return StreamingResponse(_each(events), media_type="text/event-stream")
        return _json(whole)

    async def _embeddings(self, request: Request) -> Response:
        body = _object(await request.body())
        given = body.get("input") if body else None
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            return _json(wire.error("expected input: a text or a list of texts"), 400)
        try:
            vectors, model = await self._embedder.embed(texts), "sentence-encoder"
        except Misconfigured:
            vectors, model = [hashed(text) for text in texts], "hashed-words"
        return _json(wire.embeddings(vectors, sum(map(len, texts)), model))

    async def _models(self, _: Request) -> Response:
        owned = {"object": "model", "created": wire.CREATED, "owned_by": "whaticket-streams"}
        names = (self._speaker.name, "sentence-encoder")
        return _json({"object": "list", "data": [{"id": name, **owned} for name in names]})

    async def _health(self, _: Request) -> Response:
        return _json({"status": "ok", "model": self._speaker.name})

    async def _control(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.faults.clear()
        if request.method == "POST":
            mistake = self.faults.add(_object(await request.body()) or {})
            if mistake is not None:
                return _json(wire.error(mistake), 400)
        return _json(
            {
                "requests": self.faults.requests,
                "waiting": [fault.kind for fault in self.faults.waiting],
                "happened": self.faults.happened,
            }
        )


def hashed(text: str) -> list[float]:
    """Return a unit vector in which texts with the same words are near; needs no encoder."""
    vector = [0.0] * DIMENSIONS
    for word in words(text):
        place = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big")
        vector[place % DIMENSIONS] += 1.0
    return unit(vector)


def _twisted(fault: Fault | None, body: Mapping[str, Any]) -> Reply | None:
    """Return what a model gone wrong says, for faults that are in its words."""
    if fault is None:
        return None
    tools = sorted(read(body).tools) or ["search_catalogue"]
    match fault.kind:
        case "wrong_tool":
            return Reply(tool="delete_everything", arguments={"table": "orders"})
        case "endless_tools":
            return Reply(tool=tools[0], arguments={"query": "tudo"})
        case "bad_arguments":
            return Reply(tool=tools[0], arguments={"nonsense": True})
        case "echo":
            return Reply(text=read(body).question or "…")
        case _:
            return None


def _later(exc: Unavailable) -> Response:
    headers = {"retry-after": f"{exc.retry_after_s or 1:.0f}"}
    return _json(wire.error("too many requests wait", "server_error"), 503, headers)


def _spoiled(fault: Fault, raw: bytes) -> Response | None:
    """Return an answer that is broken below the level of words."""
    match fault.kind:
        case "status":
            later = fault.retry_after_s
            headers = {} if later is None else {"retry-after": f"{later:g}"}
            return _json(wire.error("asked for by a test", "server_error"), fault.status, headers)
        case "invalid_json":
            return Response(b"<html>bad gateway</html>", media_type="application/json")
        case "huge":
            return _json(wire.completion(Reply(text="x" * HUGE_BYTES), raw))
        case "cut":
            whole = orjson.dumps(wire.completion(Reply(text="meia resposta"), raw))
            return Response(
                whole[: len(whole) // 2],
                media_type="application/json",
                # More is promised than comes: the server closes the connection.
                headers={"content-length": str(len(whole))},
            )
        case _:
            return None


async def _each(events: Any) -> AsyncIterator[bytes]:
    for event in events:
        yield event


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _json(
    content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(
        orjson.dumps(content),
        status_code=status,
        media_type="application/json",
        headers=headers,
    )
