"""How each answer of the world is written down: small, bounded, and the same when read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, get_args

import msgspec

from agents.core.toolcalls import bounded
from agents.core.turnmessages import ARGUMENT_CHARS
from agents.core.turnsteps import CUT_OFF, REFUSALS
from agents.ports import (
    Claimed,
    Completion,
    Passage,
    Prompt,
    Receipt,
    ToolReturned,
    ToolUse,
    Withheld,
)
from schemas.changing import replace
from schemas.passage import NOTED_BYTES

TOOLS: Final = 6
"""Most tool calls of one answer that are looked at; the AI stage runs three."""
NAME_CHARS: Final = 128
ANSWER_BYTES: Final = 10 << 10
"""Most of one answer's text: with two answers, the passages and the bubbles in one record,
it stays under the 64 KiB that an effect may have."""


def _same(value: Any) -> Any:
    return value


def _everything(*given: Any, **named: Any) -> Any:
    return [*given, named]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How the answers to one kind of question are written down.

    Attributes:
        load: Reads an answer back.
        dump: Turns an answer into plain data.
        asked: Returns what of a question tells it from others.
        at_once: True when the answer is not awaited; such a question has nothing to hash.
    """

    load: Callable[[msgspec.Raw], Any]
    dump: Callable[[Any], Any] = _same
    asked: Callable[..., Any] = _everything
    at_once: bool = False


def digest(question: Any) -> str:
    """Return a short hash of a question."""
    try:
        raw = msgspec.json.encode(question)
    except ValueError:  # a lone surrogate, as a model may write it
        raw = json.dumps(msgspec.to_builtins(question)).encode()
    return blake2b(raw, digest_size=6).hexdigest()


def _of(kind: Any, **more: Any) -> Kind:
    return Kind(load=msgspec.json.Decoder(kind).decode, **more)


def _prompt(prompt: Prompt, *, agent: str) -> Any:
    """A prompt without its time limit, which depends on the clock."""
    return [agent, prompt.messages, prompt.tools, prompt.max_tokens]


def _completion(answer: Completion) -> Any:
    """An answer as far as the AI stage may use it."""
    uses = [
        ToolUse(
            model_call_id=_cut(use.model_call_id, NAME_CHARS),
            tool=_cut(use.tool, NAME_CHARS),
            arguments=_cut(use.arguments, 4 * ARGUMENT_CHARS)[: ARGUMENT_CHARS + 1],
        )
        for use in answer.tools[:TOOLS]
    ]
    text, finish_reason = _cut(answer.text, ANSWER_BYTES), answer.finish_reason
    if len(text) < len(answer.text) and finish_reason not in REFUSALS:
        finish_reason = CUT_OFF  # its end is not a sentence's
    texts = {
        "text": text,
        "model": _cut(answer.model, NAME_CHARS),
        "finish_reason": _cut(finish_reason, NAME_CHARS),
        "tools": uses,
    }
    return {**msgspec.to_builtins(answer), **texts}


def _passages(found: tuple[Passage, ...]) -> Any:
    return [replace(passage, text=_cut(passage.text, NOTED_BYTES)) for passage in found]


def _cut(text: str, limit: int) -> str:
    """Return as much of a text as has so many bytes of JSON, without lone surrogates."""
    kept = text[:limit].encode("utf-8", "replace").decode()
    while (excess := len(msgspec.json.encode(kept)) - 2 - limit) > 0:
        # A character has at most 6 bytes, so this many are surely too many.
        kept = kept[: -max(1, excess // 6)]
    return kept


def _returned(returned: ToolReturned) -> Any:
    return [returned.ok, bounded(returned.content), returned.error]


def _returned_again(raw: msgspec.Raw) -> ToolReturned:
    ok, content, error = msgspec.json.decode(raw)
    return ToolReturned(ok=ok, content=json.loads(content), error=error)


_RECEIPTS: Final = {kind.__name__: kind for kind in get_args(Receipt)}


def _receipt(receipt: Receipt) -> Any:
    return [type(receipt).__name__, receipt]


def _receipt_again(raw: msgspec.Raw) -> Receipt:
    name, fields = msgspec.json.decode(raw)
    receipt: Receipt = msgspec.convert(fields, _RECEIPTS[name])
    return receipt


KINDS: Final[Mapping[str, Kind]] = {
    "clock.now_ms": _of(int, at_once=True),
    "archive.keep": _of(None),
    "archive.knows": _of(bool),
    "claims.claim": _of(bool),
    "claims.claim_ai": _of(Claimed),
    "claims.claim_write": _of(Claimed),
    "claims.taken": _of(bool),
    "claims.result": _of(str | None),
    "claims.settle": _of(None),
    "knowledge.search": _of(tuple[Passage, ...], dump=_passages),
    "knowledge.recall": _of(tuple[Passage, ...], dump=_passages),
    "model.complete": _of(Completion, dump=_completion, asked=_prompt),
    "permits.ask": _of(Withheld | None),
    "courier.post": Kind(load=_receipt_again, dump=_receipt),
    "takeovers.bar": _of(None),
    "tool": Kind(load=_returned_again, dump=_returned),
}
"""Every question that a stage may ask, by port and method."""
