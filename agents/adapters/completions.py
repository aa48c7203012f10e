"""An answer of chat completions: from its bytes to what the model said."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from agents.core.turnsteps import CUT_OFF
from agents.ports import Completion, Prompt, ToolUse, estimated_tokens
from schemas.errors import Unavailable

_THOUGHT: Final = re.compile(r"\A(?:.*(</think>)|\s*<think>.*)\s*", re.DOTALL)


class Thoughts:
    """What a reasoning model thinks aloud where its server does not take it out.

    It tells our rules, and what is thought of the customer. Some templates open the mark
    themselves: an answer that was cut off before its end has no mark then, and is a thought all
    the same where earlier ones had the end of one.
    """

    def __init__(self) -> None:
        self._aloud = False

    def without(self, content: str, finish_reason: str) -> str:
        """Return what the model says to the customer."""
        thought = _THOUGHT.match(content)
        if thought is None:
            return "" if self._aloud and finish_reason == CUT_OFF else content
        self._aloud = self._aloud or thought[1] is not None
        return content[thought.end() :]


class _Function(msgspec.Struct):
    name: str = ""
    arguments: str = ""


class _Call(msgspec.Struct):
    function: _Function
    id: str = ""


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    model: str = ""
    usage: _Usage | None = None


_decoder = msgspec.json.Decoder(_Answer)


def completion(
    body: bytes, prompt: Prompt, times_ms: tuple[int, int], thoughts: Thoughts
) -> Completion:
    """Return what the model said; a provider that counts no tokens is charged one for four bytes.

    Args:
        body: What came.
        prompt: What was asked.
        times_ms: When it was asked and answered, Unix milliseconds.
        thoughts: What is known of the model's.

    Raises:
        Unavailable: It is no answer: what a proxy says in place of the model, say.
    """
    answer = _read(body)
    choice = answer.choices[0]
    message = choice.message
    usage = answer.usage or _Usage()
    finish_reason = choice.finish_reason or ""
    return Completion(
        text=thoughts.without(message.content or "", finish_reason),
        tools=tuple(
            ToolUse(
                model_call_id=call.id, tool=call.function.name, arguments=call.function.arguments
            )
            for call in message.tool_calls or ()
        ),
        model=answer.model,
        prompt_tokens=max(usage.prompt_tokens, 0) or estimated_tokens(prompt.messages),
        completion_tokens=max(usage.completion_tokens, 0) or len(body) // 4,
        finish_reason="refusal" if message.refusal else finish_reason,
        requested_at_ms=times_ms[0],
        answered_at_ms=times_ms[1],
    )


def only_thought(answer: Completion) -> bool:
    """Tell whether no token was left for a word; blank ones a customer may have asked for."""
    return answer.finish_reason == CUT_OFF and not answer.text and not answer.tools


def _read(body: bytes) -> _Answer:
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        # What a proxy in between says in place of the model; the next try may reach it.
        raise Unavailable("model") from None
    if not answer.choices:
        raise Unavailable("model")
    return answer
