from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

from agents.adapters.breaker import Breaker
from agents.adapters.llm import MAX_ANSWER_BYTES, THINKING_TOKENS, OpenAIModel, client
from agents.ports import CircuitChanged, ModelCalled, Observation, Prompt, ToolUse
from schemas.changing import replace
from schemas.errors import Rejected, Unavailable
from tests.agents.ai.samples import NOW, HandClock

PROMPT = Prompt(
    messages=({"role": "user", "content": "segredo do cliente"},),
    tools=({"type": "function", "function": {"name": "look", "parameters": {}}},),
    max_tokens=50,
    timeout_s=5.0,
)
Handler = Callable[[httpx2.Request], Any]


def body(message: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": "x",
        "object": "chat.completion",
        "model": "gpt-x",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16},
    } | changes


class Provider:
    """The real client over a function."""

    def __init__(self, handler: Handler, *, patience_s: float = 0.0) -> None:
        self.seen: list[Observation] = []
        self.requests: list[dict[str, Any]] = []
        self.clock = HandClock()

        async def handle(request: httpx2.Request) -> httpx2.Response:
            self.requests.append(json.loads(request.content))
            answer = handler(request)
            response = await answer if asyncio.iscoroutine(answer) else answer
            assert isinstance(response, httpx2.Response)
            return response

        self.api = client("http://model/v1", "key", transport=httpx2.MockTransport(handle))
        self.breaker = Breaker(
            "model", self.clock, failures=2, open_s=5.0, observe=self.seen.append
        )
        self.model = OpenAIModel(
            self.api,
            "gpt-x",
            clock=self.clock,
            breaker=self.breaker,
            patience_s=patience_s,
            observe=self.seen.append,
        )


async def test_words_and_tokens_of_an_answer() -> None:
    provider = Provider(lambda _: httpx2.Response(200, json=body({"content": "Oi!"})))

    completion = await provider.model.complete(PROMPT, agent="triage")

    assert (completion.text, completion.tools) == ("Oi!", ())
    assert (completion.prompt_tokens, completion.completion_tokens) == (11, 5)
    assert (completion.model, completion.finish_reason) == ("gpt-x", "stop")
    assert (completion.requested_at_ms, completion.answered_at_ms) == (NOW, NOW)
    (sent,) = provider.requests
    assert sent["model"] == "gpt-x"
    assert sent["max_tokens"] == 50
    assert sent["tools"][0]["function"]["name"] == "look"
    assert provider.seen == [
        ModelCalled(model="gpt-x", agent="triage", outcome="ok", seconds=0.0, tokens=16)
    ]
    await provider.model.close()


def unsupported(option: str, code: str, *, bare: bool = False) -> httpx2.Response:
    said = f"Unsupported parameter: '{option}' is not supported with this model."
    error = {"message": said, "type": "invalid_request_error", "param": option, "code": code}
    return httpx2.Response(400, json={"error": {"message": said} if bare else error})


@pytest.mark.parametrize("bare", [False, True], ids=["openai", "behind a proxy"])
async def test_a_reasoning_model_is_asked_without_what_it_refuses_and_has_room_to_think(
    bare: bool,
) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        asked = json.loads(request.content)
        if "max_tokens" in asked:
            return unsupported("max_tokens", "unsupported_parameter", bare=bare)
        if "temperature" in asked:
            return unsupported("temperature", "unsupported_value", bare=bare)
        return httpx2.Response(200, json=body({"content": "Oi!"}))

    provider = Provider(answer)

    texts = [(await provider.model.complete(PROMPT, agent="triage")).text for _ in range(2)]

    assert texts == ["Oi!", "Oi!"]
    first, second, third, fourth = provider.requests
    assert {"max_tokens", "temperature"} <= first.keys()
    assert "max_tokens" not in second
    assert third == fourth, "what was learned is kept"
    assert third.keys() == {"model", "messages", "max_completion_tokens", "tools"}
    assert third["max_completion_tokens"] == 50 + THINKING_TOKENS
    assert [call.outcome for call in provider.seen if isinstance(call, ModelCalled)] == ["ok"] * 2


@pytest.mark.parametrize("content", ["", "<think>\nO cliente quer saber qua"])
async def test_a_model_that_used_all_its_tokens_for_thinking_has_room_for_it_from_then_on(
    content: str,
) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if json.loads(request.content)["max_tokens"] > PROMPT.max_tokens:
            return httpx2.Response(200, json=body({"content": "Oi!"}))
        cut = {"index": 0, "message": {"content": content}, "finish_reason": "length"}
        return httpx2.Response(200, json=body({}, choices=[cut]))

    provider = Provider(answer)

    few = replace(PROMPT, budget=1000)

    prompts = [PROMPT, PROMPT, PROMPT, few]
    texts = [(await provider.model.complete(each, agent="triage")).text for each in prompts]

    assert texts == ["", "Oi!", "Oi!", "Oi!"]
    asked = [each["max_tokens"] for each in provider.requests]
    assert asked == [50, 50 + THINKING_TOKENS, 50 + THINKING_TOKENS, 1000]


async def test_a_model_whose_context_has_no_room_for_thinking_is_asked_without_it() -> None:
    said = "'max_tokens' is too large: 4146. This model's context length is 4096 tokens."

    def answer(request: httpx2.Request) -> httpx2.Response:
        if json.loads(request.content)["max_tokens"] > PROMPT.max_tokens:
            return httpx2.Response(400, json={"error": {"message": said}})
        content, reason = ("", "length") if len(provider.requests) == 1 else ("Oi!", "stop")
        given = {"index": 0, "message": {"content": content}, "finish_reason": reason}
        return httpx2.Response(200, json=body({}, choices=[given]))

    provider = Provider(answer)

    texts = [(await provider.model.complete(PROMPT, agent="triage")).text for _ in range(3)]

    assert texts == ["", "Oi!", "Oi!"]
    asked = [each["max_tokens"] for each in provider.requests]
    assert asked == [50, 50 + THINKING_TOKENS, 50, 50]


async def test_a_thought_without_its_end_is_known_by_the_thoughts_of_earlier_answers() -> None:
    said = iter(
        [("Hm.</think>Oi!", "stop"), ("As regras dizem qu", "length"), ("Chega hoje.", "stop")]
    )

    def answer(_: httpx2.Request) -> httpx2.Response:
        content, reason = next(said)
        given = {"index": 0, "message": {"content": content}, "finish_reason": reason}
        return httpx2.Response(200, json=body({}, choices=[given]))

    provider = Provider(answer)

    texts = [(await provider.model.complete(PROMPT, agent="triage")).text for _ in range(3)]

    assert texts == ["Oi!", "", "Chega hoje."]
    assert [each["max_tokens"] for each in provider.requests] == [50, 50, 50 + THINKING_TOKENS]


async def test_calls_that_a_model_refuses_at_the_same_time_are_all_asked_again() -> None:
    together = asyncio.Barrier(3)

    async def answer(request: httpx2.Request) -> httpx2.Response:
        asked = json.loads(request.content)
        if "max_tokens" in asked:
            await together.wait()
            return unsupported("max_tokens", "unsupported_parameter")
        return httpx2.Response(200, json=body({"content": "Oi!"}))

    provider = Provider(answer)

    calls = [provider.model.complete(PROMPT, agent="triage") for _ in range(3)]

    assert [each.text for each in await asyncio.gather(*calls)] == ["Oi!"] * 3


@pytest.mark.parametrize(
    "message",
    ["Invalid 'messages[0].content'", "'max_tokens' is too large: 600, the context has 512"],
)
async def test_a_bad_request_that_is_no_matter_of_an_option_is_not_asked_again(
    message: str,
) -> None:
    refusal = {"error": {"message": message, "param": None}}
    provider = Provider(lambda _: httpx2.Response(400, json=refusal))

    with pytest.raises(Rejected, match="bad_request"):
        await provider.model.complete(PROMPT, agent="triage")
    assert len(provider.requests) == 1


async def test_a_model_that_refuses_an_option_for_ever_is_asked_once_more_only() -> None:
    provider = Provider(lambda _: unsupported("max_tokens", "unsupported_parameter"))

    with pytest.raises(Rejected, match="bad_request"):
        await provider.model.complete(PROMPT, agent="triage")
    assert len(provider.requests) == 2


async def test_tools_of_an_answer_keep_their_order_and_their_words() -> None:
    calls = [
        {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{nonsense"}},
        {"id": "b", "type": "function", "function": {"name": "write", "arguments": "{}"}},
    ]
    answer = body({"content": None, "tool_calls": calls})
    provider = Provider(lambda _: httpx2.Response(200, json=answer))

    completion = await provider.model.complete(PROMPT, agent="triage")

    assert completion.tools == (
        ToolUse(model_call_id="a", tool="look", arguments="{nonsense"),
        ToolUse(model_call_id="b", tool="write", arguments="{}"),
    )


async def test_a_refusal_is_told_apart_from_an_empty_answer() -> None:
    answer = body({"content": None, "refusal": "no"})
    provider = Provider(lambda _: httpx2.Response(200, json=answer))

    assert (await provider.model.complete(PROMPT, agent="a")).finish_reason == "refusal"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<think>\nO cliente quer… As regras dizem…\n</think>\n\nChega hoje.", "Chega hoje."),
        ("O cliente quer…</think>Chega hoje.", "Chega hoje."),  # the template opened the mark
        ("<think>\nO cliente quer saber qua", ""),  # no tokens were left for an answer
        ("Chega <hoje>.", "Chega <hoje>."),
    ],
)
async def test_what_the_model_thought_aloud_is_not_what_it_says(content: str, text: str) -> None:
    provider = Provider(lambda _: httpx2.Response(200, json=body({"content": content})))

    assert (await provider.model.complete(PROMPT, agent="triage")).text == text


async def test_a_provider_that_counts_no_tokens_is_charged_by_length() -> None:
    answer = body({"content": "Oi!"}, usage=None)
    provider = Provider(lambda _: httpx2.Response(200, json=answer))

    completion = await provider.model.complete(PROMPT, agent="a")

    assert completion.prompt_tokens == len("segredo do cliente") // 4
    assert completion.completion_tokens > 0


def failing(error: Exception) -> Handler:
    def handler(_: httpx2.Request) -> httpx2.Response:
        raise error

    return handler


async def half(_: httpx2.Request) -> httpx2.Response:
    async def stream() -> AsyncIterator[bytes]:
        yield b'{"choices": [{"mess'
        raise httpx2.ReadError("cut")

    return httpx2.Response(200, content=stream())


def status(http: int, headers: dict[str, str] | None = None, **error: Any) -> Handler:
    content = {"error": {"message": "segredo do cliente", **error}}
    return lambda _: httpx2.Response(http, headers=headers, json=content)


@pytest.mark.parametrize(
    ("handler", "retry_after_s"),
    [
        (status(429, {"retry-after": "7"}), 7.0),
        (status(429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}), None),
        (status(429, {"retry-after": "nan"}), None),
        (status(408), None),
        (status(500), None),
        (status(503, {"retry-after": "1.5"}), 1.5),
        (failing(httpx2.ConnectError("refused")), None),
        (failing(httpx2.ReadTimeout("slow")), None),
        (failing(httpx2.RemoteProtocolError("cut")), None),
        (half, None),
        (lambda _: httpx2.Response(200, content=b"<html>"), None),
        (lambda _: httpx2.Response(200, json={"choices": []}), None),
        (lambda _: httpx2.Response(200, json={"choices": "x"}), None),
        (lambda _: httpx2.Response(200, content=b"[" * 100_000), None),
    ],
)
async def test_what_may_work_later_is_unavailable(
    handler: Handler, retry_after_s: float | None
) -> None:
    provider = Provider(handler)

    with pytest.raises(Unavailable) as caught:
        await provider.model.complete(PROMPT, agent="triage")

    assert (caught.value.service, caught.value.retry_after_s) == ("model", retry_after_s)
    assert "segredo" not in repr(caught.value)
    assert len(provider.requests) == 1  # the client never tries again by itself
    assert isinstance(provider.seen[-1], ModelCalled)
    assert provider.seen[-1].outcome == "unavailable"


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (status(400), "bad_request"),
        (status(400, code="content_filter"), "content_filter"),
        (status(401), "unauthorized"),
        (status(403), "unauthorized"),
        (status(404), "not_found"),
        (status(422), "bad_request"),
        (status(429, code="insufficient_quota"), "quota_exhausted"),
        (lambda _: httpx2.Response(200, content=b"x" * (MAX_ANSWER_BYTES + 1)), "answer_too_large"),
    ],
)
async def test_what_never_works_is_rejected(handler: Handler, reason: str) -> None:
    provider = Provider(handler)

    with pytest.raises(Rejected) as caught:
        await provider.model.complete(PROMPT, agent="triage")

    assert caught.value.reason == reason
    assert "segredo" not in str(caught.value)


async def test_an_answer_that_takes_too_long_is_unavailable() -> None:
    async def never(_: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        return httpx2.Response(200)

    provider = Provider(never)
    hasty = Prompt(messages=PROMPT.messages, timeout_s=0.01)

    with pytest.raises(Unavailable):
        await provider.model.complete(hasty, agent="triage")


async def test_a_cancelled_call_is_seen_with_the_tokens_of_its_prompt() -> None:
    reached = asyncio.Event()

    async def never(_: httpx2.Request) -> httpx2.Response:
        reached.set()
        await asyncio.Event().wait()
        return httpx2.Response(200)

    provider = Provider(never)
    calling = asyncio.create_task(provider.model.complete(PROMPT, agent="triage"))
    await reached.wait()
    calling.cancel()

    with pytest.raises(asyncio.CancelledError):
        await calling
    assert provider.seen == [
        ModelCalled(model="gpt-x", agent="triage", outcome="cancelled", seconds=0.0, tokens=4)
    ]


async def test_the_circuit_opens_after_failures_in_a_row_and_closes_after_an_answer() -> None:
    answers = [500, 500, 200]
    good = body({"content": "Oi!"})
    provider = Provider(lambda _: httpx2.Response(answers[len(provider.requests) - 1], json=good))
    for _ in range(2):
        with pytest.raises(Unavailable):
            await provider.model.complete(PROMPT, agent="a")

    with pytest.raises(Unavailable) as caught:
        await provider.model.complete(PROMPT, agent="a")
    assert caught.value.retry_after_s == 5.0
    assert len(provider.requests) == 2  # an open circuit asks nobody

    provider.clock.at_ms += 5_000
    assert (await provider.model.complete(PROMPT, agent="a")).text == "Oi!"
    changes = [seen.state for seen in provider.seen if isinstance(seen, CircuitChanged)]
    assert changes == [2, 1, 0]


async def test_calls_wait_for_the_one_that_a_half_open_circuit_lets_through() -> None:
    probing, let_be = asyncio.Event(), asyncio.Event()
    good = body({"content": "Oi!"})

    async def handler(_: httpx2.Request) -> httpx2.Response:
        if len(provider.requests) <= 2:
            return httpx2.Response(500)
        probing.set()
        await let_be.wait()
        return httpx2.Response(200, json=good)

    provider = Provider(handler, patience_s=5.0)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await provider.model.complete(PROMPT, agent="a")
    provider.clock.at_ms += 4_950

    calls = [asyncio.create_task(provider.model.complete(PROMPT, agent="a")) for _ in range(3)]
    provider.clock.at_ms += 50
    await probing.wait()
    assert len(provider.requests) == 3

    let_be.set()
    assert [answer.text for answer in await asyncio.gather(*calls)] == ["Oi!"] * 3


async def test_a_call_waits_for_an_open_circuit_no_longer_than_it_may() -> None:
    provider = Provider(lambda _: httpx2.Response(500), patience_s=5.0)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await provider.model.complete(PROMPT, agent="a")
    hasty = Prompt(messages=PROMPT.messages, timeout_s=0.01)

    with pytest.raises(Unavailable) as caught:
        await provider.model.complete(hasty, agent="a")

    assert caught.value.retry_after_s == 5.0
    assert len(provider.requests) == 2


def test_a_half_open_circuit_lets_one_call_through_and_opens_again_when_it_fails() -> None:
    clock = HandClock()
    breaker = Breaker("model", clock, failures=1, open_s=1.0)
    with pytest.raises(Unavailable), breaker.guard():
        raise Unavailable("model")
    clock.at_ms += 1_000

    def probe() -> None:
        with breaker.guard():
            with pytest.raises(Unavailable) as second, breaker.guard():
                pytest.fail("a second call got through")
            assert second.value.retry_after_s == 0.1
            raise Unavailable("model")

    with pytest.raises(Unavailable):
        probe()

    assert breaker.state == 2


def test_a_circuit_is_not_open_for_longer_because_the_clock_was_put_back() -> None:
    clock = HandClock()
    breaker = Breaker("model", clock, failures=1, open_s=5.0)
    with pytest.raises(Unavailable), breaker.guard():
        raise Unavailable("model")
    clock.at_ms -= 3_600_000

    with pytest.raises(Unavailable) as caught, breaker.guard():
        pytest.fail("it is open")
    clock.at_ms += 5_000

    assert caught.value.retry_after_s == 5.0
    with breaker.guard():
        pass
    assert breaker.state == 0


def test_a_provider_that_asks_us_to_wait_is_not_down() -> None:
    breaker = Breaker("model", HandClock(), failures=1)

    with pytest.raises(Unavailable), breaker.guard():
        raise Unavailable("model", 3.0)

    assert breaker.state == 0
