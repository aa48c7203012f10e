"""A real but very small language model, SmolLM2-135M-Instruct, as the one who answers.

It runs on the CPU, mostly speaks English, makes mistakes, and cannot call tools: it answers from
the passages of its prompt or from nothing. It shows that the pipeline works with any model.

Source: https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from schemas.errors import Unavailable
from streams.local.model.rules import Reply
from streams.local.model.shorten import Message, shorten

NAME: Final = "smollm2-135m-instruct"
MAX_TOKENS: Final = 96
"""Most tokens of an answer, whatever is asked for: two or three sentences."""
PROMPT_CHARS: Final = 1_600
"""About 800 tokens of Portuguese, of which an English vocabulary makes many: seconds to read."""
LEAST_CHARS: Final = 150
WAITING: Final = 32
LIMIT_S: Final = 45.0
"""Below the 60 seconds after which the ai stage gives a model call up."""


class PromptTooLong(Exception):
    """The prompt has more tokens than the model's context; fewer characters may fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a model said.

    Attributes:
        text: Its words.
        whole: Whether it ended by itself, not by a limit.
    """

    text: str
    whole: bool


class Generator(Protocol):
    """A language model in this process."""

    def generate(
        self, messages: Sequence[Message], max_tokens: int, stop: threading.Event
    ) -> Words:
        """Return the model's words; those so far once ``stop`` is set. Blocks its thread.

        Raises:
            PromptTooLong: The prompt does not fit into the context.
        """


class SmallModel:
    """Answers chat requests one after the other; the same request has the same answer.

    Args:
        generator: The model.
        limit_s: Seconds that a request may take in all; words so far are the answer then.
        waiting: Most requests that wait while one is answered.
    """

    name = NAME
    label = f"{NAME}; a very small language model, without tools"

    def __init__(
        self, generator: Generator, *, limit_s: float = LIMIT_S, waiting: int = WAITING
    ) -> None:
        self._generator = generator
        self._limit_s = limit_s
        self._most = waiting + 1
        self._inside = 0
        self._turn = asyncio.Lock()

    async def reply(self, body: Mapping[str, Any]) -> Reply:
        """Return the reply to a chat request.

        Raises:
            Unavailable: Too many requests wait, or its time was over before its turn.
        """
        if self._inside >= self._most:
            raise Unavailable("model", self._limit_s / 4)
        self._inside += 1
        try:
            return await self._reply(body)
        finally:
            self._inside -= 1

    async def _reply(self, body: Mapping[str, Any]) -> Reply:
        ends_at = asyncio.get_running_loop().time() + self._limit_s
        try:
            async with asyncio.timeout_at(ends_at):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable("model", self._limit_s / 4) from None
        stop = threading.Event()
        timer = asyncio.get_running_loop().call_at(ends_at, stop.set)
        work = asyncio.create_task(asyncio.to_thread(self._generate, body, stop))
        # Whoever is next waits for the thread, also when the one who asked has gone.
        work.add_done_callback(lambda _: self._turn.release())
        try:
            words = await asyncio.shield(work)
        finally:
            timer.cancel()
            stop.set()
        return Reply(
            text=words.text if words.whole else _sentences(words.text), cut=not words.whole
        )

    def _generate(self, body: Mapping[str, Any], stop: threading.Event) -> Words:
        chars = PROMPT_CHARS
        while True:
            try:
                return self._generator.generate(shorten(body, chars), _tokens(body), stop)
            except PromptTooLong:
                if chars <= LEAST_CHARS:
                    raise
                chars //= 2


def _tokens(body: Mapping[str, Any]) -> int:
    asked = body.get("max_completion_tokens") or body.get("max_tokens")
    return max(1, min(asked, MAX_TOKENS)) if type(asked) is int else MAX_TOKENS


def _sentences(text: str) -> str:
    """Return a text that was cut off without its last, unfinished sentence, if others remain."""
    match = re.match(r"(.*[.!?])(?:\s|$)", text, re.DOTALL)
    return match[1] if match else text
