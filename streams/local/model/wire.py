"""OpenAI's answers: chat completions whole and as a stream, embeddings, errors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from streams.local.model.rules import Reply

MODEL: Final = "offline-rules"
CREATED: Final = 1_735_689_600
"""2025-01-01: the answers of a deterministic model have no time."""
TOKEN_CHARS: Final = 4


def completion(reply: Reply, body: bytes, *, model: str = MODEL) -> dict[str, Any]:
    """Return a chat completion; its id follows from the request."""
    digest = hashlib.blake2b(body, digest_size=12).hexdigest()
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": None}
    finish = "length" if reply.cut else "stop"
    if reply.tool:
        message["tool_calls"], finish = [_call(reply, digest)], "tool_calls"
    return {
        "id": f"chatcmpl-{digest}",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
        "usage": usage(len(body), len(reply.text) + len(str(reply.arguments or ""))),
    }


def usage(sent_chars: int, said_chars: int) -> dict[str, int]:
    """Return the token counts: one for four characters."""
    sent, said = sent_chars // TOKEN_CHARS + 1, said_chars // TOKEN_CHARS + 1
    return {"prompt_tokens": sent, "completion_tokens": said, "total_tokens": sent + said}


def stream(whole: dict[str, Any], *, with_usage: bool = False) -> Iterator[bytes]:
    """Yield a chat completion as server-sent events, word by word."""
    head = {name: whole[name] for name in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk"
    (choice,) = whole["choices"]
    message = choice["message"]
    yield _chunk(head, {"role": "assistant", "content": ""})
    for call in message.get("tool_calls", ()):
        yield _chunk(head, {"tool_calls": [{"index": 0, **call}]})
    for word in re.findall(r"\S+\s*", message["content"] or ""):
        yield _chunk(head, {"content": word})
    yield _chunk(head, {}, choice["finish_reason"])
    if with_usage:
        yield _event({**head, "choices": [], "usage": whole["usage"]})
    yield b"data: [DONE]\n\n"


def embeddings(vectors: Sequence[Sequence[float]], chars: int, model: str) -> dict[str, Any]:
    """Return embeddings, in the order of the texts."""
    return {
        "object": "list",
        "model": model,
        "data": [
            {"object": "embedding", "index": place, "embedding": list(vector)}
            for place, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": chars // TOKEN_CHARS, "total_tokens": chars // TOKEN_CHARS},
    }


def error(message: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    """Return an error."""
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _call(reply: Reply, digest: str) -> dict[str, Any]:
    arguments = orjson.dumps(reply.arguments or {}).decode()
    return {
        "id": f"call_{digest}",
        "type": "function",
        "function": {"name": reply.tool, "arguments": arguments},
    }


def _chunk(head: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> bytes:
    return _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"
