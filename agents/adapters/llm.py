"""The language model behind any API that speaks OpenAI's chat completions."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, Final, cast

import httpx2
from openai import (
    APIStatusError,
    AsyncOpenAI,
    AsyncStream,
    BadRequestError,
    DefaultAioHttpClient,
)

from agents.adapters.breaker import Breaker
from agents.adapters.completions import Thoughts, completion, only_thought
from agents.adapters.provider import later, translated
from agents.ports import (
    Clock,
    Completion,
    ModelCalled,
    Observe,
    Prompt,
    estimated_tokens,
    unobserved,
)
from schemas.addresses import on_this_machine
from schemas.errors import Rejected, Unavailable

MAX_CONNECTIONS: Final = 10_000
"""As many conversations may wait for the model at once, each on a connection."""
KEEPALIVE_S: Final = 4.0
"""We close an idle connection before the other side does (uvicorn: 5 s)."""
MAX_ANSWER_BYTES: Final = 1_048_576
"""An answer of 600 tokens is 4 KiB; a provider that sends far more is broken."""
CONNECT_S: Final = 10.0
CIRCUIT_WAIT_S: Final = 8.0
"""Longer than a circuit stays open, with one answer of the model."""
OPTIONAL: Final = ("max_tokens", "temperature")
"""What OpenAI's reasoning models refuse: they take ``max_completion_tokens``, which Ollama does not
know. So it is learned from the first refusal.
Source: OpenAI, API reference, "Create chat completion"; github.com/ollama/ollama/issues/7125."""
THINKING_TOKENS: Final = 4096
"""What a reasoning model may think before it answers, since that is in the limit of its tokens too.
Others than OpenAI's are known by an answer that had no tokens left for a word."""
REASONS: Final = {401: "unauthorized", 403: "unauthorized", 404: "not_found", 413: "too_large"}
"""Codes of refusals by HTTP status; every other status below 500 is ``bad_request``."""


def client(
    base_url: str,
    api_key: str,
    *,
    timeout_s: float = 60.0,
    transport: httpx2.AsyncBaseTransport | None = None,
) -> AsyncOpenAI:
    """Return a client of an OpenAI-compatible API; it never tries again by itself.

    Args:
        base_url: Base URL, with version.
        api_key: Its key; local servers take any.
        timeout_s: Time limit of one read or write.
        transport: Instead of the network.
    """
    timeout = httpx2.Timeout(timeout_s, connect=CONNECT_S, pool=timeout_s)
    # Through aiohttp: httpcore's pool walks all of its connections for every request that begins
    # or ends, and a request costs two and a half times the CPU time.
    limits = httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_S)
    http = DefaultAioHttpClient(
        transport=transport,
        timeout=timeout,
        limits=limits,
        trust_env=not on_this_machine(base_url),  # proxies are for what is far away
    )
    return AsyncOpenAI(
        base_url=base_url,
        api_key=api_key or "none",
        max_retries=0,
        timeout=timeout,
        http_client=http,
    )


class OpenAIModel:
    """A chat model of an OpenAI-compatible provider.

    Args:
        api: The client; see ``client``.
        model: Name of the model.
        clock: Tells when a request was sent and answered.
        breaker: Guards the provider.
        patience_s: How long a call waits for an open circuit: a turn has three tries only, and
            one that asks nobody is no try.
        observe: Told of every call.
    """

    def __init__(
        self,
        api: AsyncOpenAI,
        model: str,
        *,
        clock: Clock,
        breaker: Breaker | None = None,
        patience_s: float = CIRCUIT_WAIT_S,
        observe: Observe = unobserved,
    ) -> None:
        self._api = api
        self._model = model
        self._clock = clock
        self._breaker = breaker or Breaker("model", clock, observe=observe)
        self._patience_s = patience_s
        self._observe = observe
        self._refused: set[str] = set()
        self._thinks = False
        self._thoughts = Thoughts()

    async def complete(self, prompt: Prompt, /, *, agent: str) -> Completion:
        """Return the model's answer.

        Raises:
            Unavailable: The provider is down, slow, cut the answer off, sent what is no
                answer, or asks us to wait.
            Rejected: It refuses this request for good, or its answer is far too large.
        """
        ends_at_s = asyncio.get_running_loop().time() + prompt.timeout_s
        await self._breaker.passable(min(prompt.timeout_s, self._patience_s))
        requested_at_ms = self._clock.now_ms()
        # Whoever cancels a call has had its prompt read: it is paid for.
        outcome, tokens = "cancelled", estimated_tokens(prompt.messages)
        try:
            with self._breaker.guard(), translated(_refusal):
                async with asyncio.timeout_at(ends_at_s):
                    body = await self._body(prompt)
                times_ms = (requested_at_ms, self._clock.now_ms())
                answer = completion(body, prompt, times_ms, self._thoughts)
            self._thinks = self._thinks or only_thought(answer)
            outcome = "ok"
            tokens = answer.prompt_tokens + answer.completion_tokens
        except Unavailable:
            outcome, tokens = "unavailable", 0
            raise
        except Rejected as exc:
            outcome, tokens = exc.reason, 0
            raise
        finally:
            self._observe(
                ModelCalled(
                    model=self._model,
                    agent=agent,
                    outcome=outcome,
                    seconds=(self._clock.now_ms() - requested_at_ms) / 1000,
                    tokens=tokens,
                )
            )
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def _body(self, prompt: Prompt) -> bytes:
        """Return the body of the answer; a model that refuses an option is asked without it."""
        while True:
            asked = self._asked(prompt)
            try:
                return await self._posted(asked)
            except BadRequestError as exc:
                # Of those that it was asked with: another call may have learned of them meanwhile.
                refused = {name for name in OPTIONAL if name in asked and _refuses(exc, name)}
                roomy = asked.get("max_tokens", 0) > prompt.max_tokens
                if not refused and not roomy:
                    raise
                self._refused |= refused
                self._thinks = self._thinks and not roomy  # its context may be too short for that

    def _asked(self, prompt: Prompt) -> dict[str, Any]:
        asked: dict[str, Any] = {"model": self._model, "messages": prompt.messages}
        if "temperature" not in self._refused:
            asked["temperature"] = 0
        refused = "max_tokens" in self._refused
        thinking = THINKING_TOKENS if refused or self._thinks else 0
        limit = "max_completion_tokens" if refused else "max_tokens"
        asked[limit] = min(prompt.max_tokens + thinking, prompt.budget)
        if prompt.tools:
            asked["tools"] = prompt.tools
        return asked

    async def _posted(self, asked: dict[str, Any]) -> bytes:
        """Return the body of an answer; read piece by piece, so that its size is bounded."""
        read = bytearray()
        # The method behind `chat.completions.create`, which also walks through every argument
        # against its types: a quarter of what a call costs.
        answer = cast(
            httpx2.Response,  # so it is, unread; the stream's class is for its type alone
            await self._api.post(
                "/chat/completions",
                cast_to=httpx2.Response,
                body=asked,
                stream=True,
                stream_cls=AsyncStream[Any],
            ),
        )
        async with aclosing(answer):
            async for piece in answer.aiter_bytes():
                read += piece
                if len(read) > MAX_ANSWER_BYTES:
                    raise Rejected("answer_too_large")
        return bytes(read)


def _refuses(exc: BadRequestError, option: str) -> bool:
    """Tell whether a model does not take an option; some proxies leave only the words of it."""
    return "nsupported" in exc.message and (exc.param == option or f"'{option}'" in exc.message)


def _refusal(exc: APIStatusError) -> Unavailable | Rejected:
    if exc.code == "insufficient_quota":
        return Rejected("quota_exhausted")
    if exc.code == "content_filter":
        return Rejected("content_filter")
    return later(exc) or Rejected(REASONS.get(exc.status_code, "bad_request"))
