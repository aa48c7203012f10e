"""The tools stage, decided: which calls may run, and what is said of each, once.

Rule 1: every ``call_id`` has exactly one ``ToolCallCompleted``: ``seen`` tells a repetition.
Rule 2: a tool runs only for an agent that it names, with arguments that its schema allows.
Rule 3: a tool that changes something does not start for an epoch older than the newest seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator
from msgspec import Struct, field

from agents.core.aitext import clean
from agents.core.turnevents import Moment, envelope
from agents.ports import Tool, ToolReturned
from schemas.changing import replace
from schemas.errors import Rejected
from schemas.events import ToolCallCompleted, ToolCallRequested

REMEMBERED_CALLS: Final = 64
ARGUMENT_BYTES: Final = 4_096
CONTENT_BYTES: Final = 16_384
UNKNOWN_RESULT: Final = "unknown_result"
"""Code of a call that may have changed something, nobody knows."""


class ToolCalls(Struct, frozen=True, kw_only=True):
    """State of the tools stage for one conversation.

    Attributes:
        tenant_id: The company.
        conversation_id: The conversation.
        customer_id: The customer.
        seq: Number of the last step, from 1.
        timers: Always empty.
        epoch: Newest epoch of the conversation that a call named.
        seen: Ids of the newest calls, oldest first.
    """

    tenant_id: str
    conversation_id: str
    customer_id: str
    seq: int = 0
    timers: dict[str, int] = field(default_factory=dict)
    epoch: int = 0
    seen: tuple[str, ...] = ()


def stepped(state: ToolCalls | None, call: ToolCallRequested) -> ToolCalls:
    """Return the state with one more step, knowing the call's epoch.

    Raises:
        Rejected: The call belongs to another conversation.
    """
    before = state or ToolCalls(
        tenant_id=call.tenant_id,
        conversation_id=call.conversation_id,
        customer_id=call.customer_id,
    )
    if (before.tenant_id, before.conversation_id) != (call.tenant_id, call.conversation_id):
        raise Rejected("wrong_conversation")
    return replace(before, seq=before.seq + 1, epoch=max(before.epoch, call.epoch))


def refusal(
    state: ToolCalls, call: ToolCallRequested, tool: Tool | None, now_ms: int
) -> str | None:
    """Return why a call must not run, as a short code that the model sees, or None."""
    if tool is None:
        return "unknown_tool"
    if call.agent not in tool.agents:
        return "not_permitted"
    if now_ms >= call.deadline_at:
        return "deadline"
    if tool.side_effect and call.epoch < state.epoch:
        return "stale_epoch"
    return None


def arguments(tool: Tool, text: str) -> Mapping[str, Any] | ToolReturned:
    """Return the arguments of a call, or what the model is told about them.

    Only the place and the kind of a mistake are told, never the value. Escaped characters that
    no store takes (NUL, half of a surrogate pair) are left out, as where others' texts enter.
    """
    if len(text.encode("utf-8", "replace")) > ARGUMENT_BYTES:
        return _bad("the arguments are too large")
    try:
        given = _storable(json.loads(text, parse_constant=_no_constant))
    except (ValueError, RecursionError):
        return _bad("the arguments are no valid JSON")
    if not isinstance(given, dict):
        return _bad("the arguments are no JSON object")
    mistakes = sorted(
        f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {error.validator}"
        for error in Draft202012Validator(dict(tool.parameters)).iter_errors(given)
    )
    return _bad("; ".join(mistakes[:5])) if mistakes else given


def _storable(given: Any) -> Any:
    if isinstance(given, str):
        return clean(given, ARGUMENT_BYTES)
    if isinstance(given, list):
        return [_storable(each) for each in given]
    if isinstance(given, dict):
        return {_storable(name): _storable(each) for name, each in given.items()}
    return given


def completed(
    state: ToolCalls,
    call: ToolCallRequested,
    returned: ToolReturned,
    moment: Moment,
    *,
    side_effect: bool = False,
    duration_ms: int = 0,
) -> tuple[ToolCalls, tuple[ToolCallCompleted, ...]]:
    """Say what became of a call; the call is remembered."""
    event = ToolCallCompleted(
        **envelope(state.seq, moment, "tools.call.completed", call.call_id, call.call_id),
        turn_id=call.turn_id,
        epoch=call.epoch,
        call_id=call.call_id,
        step=call.step,
        tool=call.tool,
        ok=returned.ok,
        content=bounded(returned.content),
        error=clean(returned.error, 64) if returned.error else None,
        side_effect=side_effect,
        duration_ms=duration_ms,
    )
    return replace(state, seen=(*state.seen, call.call_id)[-REMEMBERED_CALLS:]), (event,)


def refused(error: str, detail: str = "") -> ToolReturned:
    """Return what a call that did not run, or failed, tells the model."""
    content = {"error": error, "detail": detail} if detail else {"error": error}
    return ToolReturned(ok=False, content=content, error=error)


def bounded(content: Any) -> str:
    """Return a result as JSON of at most 16 KiB; a longer one is cut, and says so.

    A result that is read back and bounded again stays the same.
    """
    try:
        text = _json(content)
    except (TypeError, ValueError, RecursionError):
        return _json({"error": "bad_result"})
    read = len(text) <= _READ_CHARS
    text = clean(text, _READ_CHARS)
    if read and len(text.encode()) <= CONTENT_BYTES:
        return _json(json.loads(text))  # names that became the same are one, as a reader has it
    return _json({"truncated": True, "text": text[:_CUT_CHARS]})


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


_READ_CHARS: Final = CONTENT_BYTES * 4
"""Of a longer result the rest is not looked at: what is left may be no JSON, however short."""
_CUT_CHARS: Final = 3_000
"""Safe whatever the text: a character is at most 4 bytes, and quotes are escaped."""


def _bad(detail: str) -> ToolReturned:
    return refused("bad_arguments", detail)


def _no_constant(name: str) -> None:
    raise ValueError(name)
