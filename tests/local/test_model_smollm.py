"""The small model's side of the server, over a generator that says what a test wants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.adapters.llm import OpenAIModel, client
from agents.core.aiagents import PROFILES, TRANSFER
from agents.core.prompt import Hint, messages, system
from agents.ports import Prompt
from schemas.errors import Unavailable
from streams.clock import WallClock
from streams.local.model.server import ModelServer
from streams.local.model.shorten import ORDER, Message, shorten
from streams.local.model.smollm import MAX_TOKENS, PROMPT_CHARS, PromptTooLong, SmallModel, Words
from tests.agents.ai.samples import MEMORY, PASSAGE, SETTINGS, start

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "oi"}]}


class Told:
    """Says the given words, after it was let go, and remembers what it was asked."""

    def __init__(self, *, text: str = "Olá!", whole: bool = True, fits: int = 10_000) -> None:
        self.words = Words(text=text, whole=whole)
        self.fits = fits
        self.asked: list[tuple[Sequence[Message], int]] = []
        self.now = self.most = 0
        self.go = threading.Event()
        self.go.set()

    def generate(
        self, messages: Sequence[Message], max_tokens: int, stop: threading.Event
    ) -> Words:
        self.asked.append((messages, max_tokens))
        if sum(len(said["content"]) for said in messages) > self.fits:
            raise PromptTooLong
        self.now += 1
        self.most = max(self.most, self.now)
        while not (self.go.wait(0.005) or stop.is_set()):
            pass
        self.now -= 1
        return self.words


def held(**given: Any) -> Told:
    told = Told(**given)
    told.go.clear()
    return told


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a thread tells
            await asyncio.sleep(0.001)


async def test_the_real_client_gets_the_models_words() -> None:
    server = ModelServer(SmallModel(Told(text="A entrega leva 5 dias.")))
    api = client("http://model/v1", "", transport=httpx2.ASGITransport(app=server.app()))
    model = OpenAIModel(api, "any", clock=WallClock())
    prompt = Prompt(messages=tuple(ASKED["messages"]), timeout_s=20.0)

    answer = await model.complete(prompt, agent="triage")
    names = [each.id for each in (await api.models.list()).data]
    await model.close()

    assert (answer.text, answer.finish_reason) == ("A entrega leva 5 dias.", "stop")
    assert answer.model == "smollm2-135m-instruct"
    assert names == ["smollm2-135m-instruct", "sentence-encoder"]


async def test_one_is_answered_at_a_time_and_all_are() -> None:
    told = Told()
    model = SmallModel(told)

    replies = await asyncio.gather(*[model.reply(ASKED) for _ in range(12)])

    assert [reply.text for reply in replies] == ["Olá!"] * 12
    assert told.most == 1


async def test_who_finds_the_queue_full_is_told_to_come_later() -> None:
    told = held()
    server = ModelServer(SmallModel(told, waiting=1))
    transport = httpx2.ASGITransport(app=server.app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://model") as http:
        inside = [
            asyncio.create_task(http.post("/v1/chat/completions", json=ASKED)) for _ in range(2)
        ]
        await until(lambda: told.now == 1)
        refused = await http.post("/v1/chat/completions", json=ASKED)
        told.go.set()
        answered = await asyncio.gather(*inside)
        after = await http.post("/v1/chat/completions", json=ASKED)

    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "11"
    assert [response.status_code for response in (*answered, after)] == [200, 200, 200]
    assert after.headers["x-model-kind"].startswith("smollm2-135m-instruct;")


async def test_the_time_limit_ends_an_answer_and_frees_the_model() -> None:
    told = held(text="Leva 5 dias. O frete é", whole=False)
    model = SmallModel(told, limit_s=0.05)

    reply = await model.reply(ASKED)
    told.go.set()
    again = await model.reply(ASKED)

    assert (reply.text, reply.cut) == ("Leva 5 dias.", True)
    assert again == reply


async def test_who_waits_longer_than_the_limit_is_told_to_come_later() -> None:
    class Deaf(Told):
        """Cannot be stopped, as while it reads a long prompt."""

        def generate(
            self, messages: Sequence[Message], max_tokens: int, stop: threading.Event
        ) -> Words:
            del stop
            return super().generate(messages, max_tokens, threading.Event())

    told = Deaf()
    told.go.clear()
    model = SmallModel(told, limit_s=0.05)
    first = asyncio.create_task(model.reply(ASKED))
    await until(lambda: told.now == 1)

    with pytest.raises(Unavailable):
        await model.reply(ASKED)
    told.go.set()

    assert (await first).text == "Olá!"


async def test_a_request_that_is_given_up_stops_the_model() -> None:
    told = held()
    model = SmallModel(told)
    task = asyncio.create_task(model.reply(ASKED))
    await until(lambda: told.now == 1)

    task.cancel()
    await until(lambda: told.now == 0)
    told.go.set()

    assert (await model.reply(ASKED)).text == "Olá!"


async def test_a_prompt_beyond_the_context_is_cut_until_it_fits() -> None:
    told = Told(fits=700)
    question = "Quanto tempo leva a entrega? " * 500

    reply = await SmallModel(told).reply({"messages": [{"role": "user", "content": question}]})

    lengths = [sum(len(said["content"]) for said in asked) for asked, _ in told.asked]
    assert lengths == [PROMPT_CHARS, PROMPT_CHARS // 2, PROMPT_CHARS // 4]
    assert reply.text == "Olá!"


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({}, MAX_TOKENS),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8}, 8),
        ({"max_tokens": 100_000}, MAX_TOKENS),
        ({"max_tokens": -3}, 1),
        ({"max_tokens": "many"}, MAX_TOKENS),
        ({"max_tokens": True}, MAX_TOKENS),
    ],
)
async def test_an_answer_has_few_tokens(body: dict[str, Any], tokens: int) -> None:
    told = Told()

    await SmallModel(told).reply({**ASKED, **body})

    assert [asked for _, asked in told.asked] == [tokens]


def test_of_the_ai_stages_prompt_the_passages_and_the_question_stay() -> None:
    rules = system(SETTINGS, PROFILES["triage"], TRANSFER)
    hints = [Hint(source="faq.md", text=PASSAGE.text), Hint(source="memory", text=MEMORY.text)]

    said = shorten({"messages": [*messages(rules, start(), hints)]}, PROMPT_CHARS)

    assert said[0] == {"role": "system", "content": ORDER}
    assert said[1]["content"].startswith(
        f"Texto:\n{PASSAGE.text}\n{MEMORY.text}\n\nPergunta: Quanto tempo leva a entrega?\n"
    )
    assert len(said) == 2


def test_of_a_long_conversation_the_newest_messages_stay() -> None:
    history = [{"role": "user", "content": str(n) * 100} for n in range(9)]

    said = shorten({"messages": [{"role": "system", "content": "s" * 900}, *history]}, 600)

    assert said == [{"role": "system", "content": "s" * 200}, *history[-4:]]


texts = st.text(max_size=300)
blocks = st.builds(
    "<passages>\n{0}\n</passages>\n<question>\n{1}\n</question>".format, texts, texts
)
lines = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "user", "assistant", "tool", 7]),
        "content": texts | blocks | st.none() | st.lists(st.just({"type": "text", "text": "oi"})),
    }
)


@given(st.lists(lines, max_size=8), st.integers(min_value=3, max_value=1_000))
@example([{"role": "user", "content": "<passages>\n0</passages><question>\n0</question>"}], 6)
def test_whatever_was_said_it_fits(said: list[dict[str, Any]], chars: int) -> None:
    kept = shorten({"messages": said}, chars)

    # A message is never cut to nothing: one character may be beyond.
    assert sum(len(each["content"]) for each in kept) <= chars + 1
    assert all(each["role"] in {"system", "user", "assistant"} for each in kept)


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"messages": [1, {"role": "tool"}]}])
async def test_a_request_without_words_still_asks_something(body: dict[str, Any]) -> None:
    told = Told()

    await SmallModel(told).reply(body)

    ((asked, _),) = told.asked
    assert [each["role"] for each in asked] == ["user"]
