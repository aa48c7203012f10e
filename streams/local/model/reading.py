"""What a chat request says, as the rules need it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_BLOCK = r"<{0}>\n(.*?)\n?</{0}>"
_ACCENTS = str.maketrans("áàâãäéèêëíìîïóòôõöúùûüç", "aaaaaeeeeiiiiooooouuuuc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One chat request.

    Attributes:
        question: The words to answer.
        passages: Texts to answer from.
        tools: Names of the tools that may be asked for.
        results: What the tools of the last step gave, if the request ends with tools' answers.
        tools_used: Names of the tools that were asked for earlier in this turn.
        marked: Whether the question was marked as such, as the ai stage does.
    """

    question: str
    passages: tuple[str, ...]
    tools: frozenset[str]
    results: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    tools_used: frozenset[str] = frozenset()
    marked: bool = False


def read(body: Mapping[str, Any]) -> Request:
    """Return what a request says; whatever is malformed counts as absent."""
    messages = [said for said in _list(body.get("messages")) if isinstance(said, Mapping)]
    asked = [content_of(said) for said in messages if said.get("role") == "user"]
    prompt = asked[-1] if asked else ""
    names = _calls(messages)
    return Request(
        question=_block("question", prompt) or ("" if "<question>" in prompt else prompt),
        passages=tuple(
            line
            for mark in ("passages", "memories")
            for line in _block(mark, prompt).splitlines()
            if line.strip()
        ),
        tools=frozenset(
            str(_mapping(tool.get("function")).get("name", ""))
            for tool in map(_mapping, _list(body.get("tools")))
        ),
        results=_results(messages, names),
        tools_used=frozenset(names.values()),
        marked=bool(_block("question", prompt)),
    )


def plain(text: str) -> str:
    """Return text in lower case without accents, as customers often write."""
    return text.lower().translate(_ACCENTS)


def words(text: str) -> list[str]:
    """Return the words of a text, plain."""
    return re.findall(r"[a-z0-9]+", plain(text))


def _block(mark: str, text: str) -> str:
    match = re.search(_BLOCK.format(mark), text, re.DOTALL)
    return match[1].strip() if match else ""


def _calls(messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the tool of each call id."""
    return {
        str(call.get("id")): str(_mapping(call.get("function")).get("name", ""))
        for said in messages
        for call in map(_mapping, _list(said.get("tool_calls")))
    }


def _results(
    messages: Sequence[Mapping[str, Any]], names: Mapping[str, str]
) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    last: list[tuple[str, Mapping[str, Any]]] = []
    for said in reversed(messages):
        if said.get("role") != "tool":
            break
        last.append((names.get(str(said.get("tool_call_id")), ""), _json(content_of(said))))
    return tuple(reversed(last))


def content_of(said: Mapping[str, Any]) -> str:
    """Return the words of a message, whose content is a text or a list of parts."""
    content = said.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in map(_mapping, _list(content)))


def _json(text: str) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
