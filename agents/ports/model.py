"""The language model and the embedder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A tool that the model asked for.

    Attributes:
        model_call_id: The provider's id of the call.
        tool: Name of the tool.
        arguments: Arguments as the model wrote them (JSON text, maybe invalid).
    """

    model_call_id: str
    tool: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What is sent to the model, in OpenAI's chat-completions form.

    Attributes:
        messages: ``{"role": …, "content": …}`` dictionaries, oldest first.
        tools: JSON schemas of the tools that the agent may use.
        max_tokens: Most tokens of the answer.
        budget: Most tokens of the answer and of what a reasoning model thinks before it.
        timeout_s: Time limit of the whole call.
    """

    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    max_tokens: int = 600
    budget: int = 20_000
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What the model answered.

    Attributes:
        text: Its words, empty when it only asked for tools.
        tools: The tools that it asked for, in order.
        model: The model that answered.
        prompt_tokens: Tokens in.
        completion_tokens: Tokens out.
        finish_reason: Why it stopped, as the provider says it.
        requested_at_ms: When the request was sent.
        answered_at_ms: When the answer was complete.
    """

    text: str
    tools: tuple[ToolUse, ...]
    model: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    requested_at_ms: int
    answered_at_ms: int


def estimated_tokens(messages: Iterable[Mapping[str, Any]]) -> int:
    """Return about how many tokens messages have: a token is four characters of text.

    It stands in where a provider says no figure: before a call, and of one that was cut short.
    """
    return sum(len(str(message.get("content") or "")) for message in messages) // 4


class Model(Protocol):
    """A chat model."""

    async def complete(self, prompt: Prompt, /, *, agent: str) -> Completion:
        """Return the model's answer.

        Raises:
            Unavailable: The provider is down, slow or asks us to wait; retry later.
            Rejected: The provider refuses this request for good.
        """


class Embedder(Protocol):
    """Turns texts into vectors of 512 dimensions."""

    async def embed(self, texts: Sequence[str], /) -> list[list[float]]:
        """Return one unit vector for each text."""
