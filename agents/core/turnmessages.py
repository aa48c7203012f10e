"""What a turn's messages hold of the model's tool calls and of their results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from agents.core.aitext import clean, links
from agents.core.turn import OpenCall, Running
from agents.ports import ToolUse
from schemas.changing import replace
from schemas.events import ToolCallCompleted
from schemas.ids import derived

MAX_CALLS_PER_STEP: Final = 3
ARGUMENT_CHARS: Final = 800
"""Longer arguments are cut, so they are no valid JSON and the tools stage refuses them."""
RESULT_CHARS: Final = 4_000
ALL_RESULTS_CHARS: Final = 24_000
"""Of one result, and of all results of a turn, in the messages that the state keeps."""
MAX_LINKS: Final = 200
"""Five passages of links alone have fewer than a hundred; of a turn, those of tools come first."""
LINK_CHARS: Final = 300

_NAME = re.compile(r"[^A-Za-z0-9_-]")


def distinct(uses: Sequence[ToolUse]) -> tuple[ToolUse, ...]:
    """Return the calls that can be told apart by the model's id: of two alike, the first."""
    kept: dict[str, ToolUse] = {}
    for ordinal, use in enumerate(uses):
        kept.setdefault(clean(use.model_call_id, 64) or f"#{ordinal}", use)
    return tuple(kept.values())[:MAX_CALLS_PER_STEP]


def opened(running: Running, ordinal: int, use: ToolUse, writes: frozenset[str]) -> OpenCall:
    """Return one call of the newest step, under an id that follows from its place."""
    name = _NAME.sub("_", use.tool[:64]) or "unnamed"
    return OpenCall(
        call_id=derived(running.turn_id, "call", running.step, ordinal),
        model_call_id=clean(use.model_call_id, 64) or f"call_{running.step}_{ordinal}",
        tool=name,
        writes=name in writes,
    )


def assistant(calls: Sequence[OpenCall], arguments: Sequence[str]) -> dict[str, Any]:
    """Return the message that asked; some providers refuse arguments that are no JSON object."""
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": call.model_call_id,
                "type": "function",
                "function": {"name": call.tool, "arguments": text if _is_object(text) else "{}"},
            }
            for call, text in zip(calls, arguments, strict=True)
        ],
    }


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def back(call: OpenCall, completed: ToolCallCompleted) -> OpenCall:
    """Return a call with its result, bounded, unable to form a mark of the prompt."""
    content = clean(completed.content, RESULT_CHARS).replace("<", "\\u003c")[:RESULT_CHARS]
    return replace(call, content=content, ok=completed.ok, error=completed.error)


def told(running: Running) -> Running:
    """Return the turn with the results of its step among the messages."""
    messages, chars = list(running.messages), running.tool_chars
    for call in running.open_calls:
        content = (call.content or "")[: max(0, ALL_RESULTS_CHARS - chars)]
        chars += len(content)
        messages.append(
            {"role": "tool", "tool_call_id": call.model_call_id, "content": content or "{}"}
        )
    found = known_links(call.content or "" for call in running.open_calls)
    return replace(
        running,
        messages=tuple(messages),
        open_calls=(),
        tool_chars=chars,
        links=tuple(dict.fromkeys((*found, *running.links)))[:MAX_LINKS],
    )


def known_links(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the links that texts hold, bounded."""
    return tuple(link for link in sorted(links(texts)) if len(link) <= LINK_CHARS)[:MAX_LINKS]
