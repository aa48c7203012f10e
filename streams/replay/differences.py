"""Where two records differ, in words; what a person wrote stays hidden unless asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from schemas.events import Event

PRIVATE: Final = frozenset(
    {
        "answer",
        "arguments",
        "bubbles",
        "content",
        "customer_name",
        "heard",
        "history",
        "question",
        "recipient",
        "sender",
        "state",
        "text",
        "value",
    }
)
"""Fields that hold what a person or the model wrote, or who it was."""

SHOWN_CHARS: Final = 200
ABSENT: Final = "(nothing)"


@dataclass(frozen=True, slots=True)
class Difference:
    """Why a step is not what it was.

    Attributes:
        seq: Number of the step.
        what: What differs: a topic and a field, or a short sentence.
        recorded: What the log says.
        replayed: What the stage says now.
        missing: True when a record is not there; it may still come.
    """

    seq: int
    what: str
    recorded: str = ""
    replayed: str = ""
    missing: bool = False

    @property
    def line(self) -> str:
        """The difference in one line."""
        sides = f": recorded {self.recorded}, replayed {self.replayed}"
        return f"step {self.seq}: {self.what}{sides if self.recorded or self.replayed else ''}"


def first(
    seq: int, recorded: Event | None, replayed: Event | None, *, show_text: bool
) -> Difference | None:
    """Return the first difference of two records, or None."""
    if recorded is None or replayed is None:
        there = recorded or replayed
        assert there is not None  # noqa: S101 - one of them is what differs
        sides = [f"a record {each.event_id}" if each else ABSENT for each in (recorded, replayed)]
        return Difference(seq, there.event, sides[0], sides[1], missing=recorded is None)
    for path, one, other in _walk((), msgspec.to_builtins(recorded), msgspec.to_builtins(replayed)):
        hidden = not show_text and (not PRIVATE.isdisjoint(path) or _holds_private([one, other]))
        where = f"{recorded.event} {'.'.join(path)}"
        return Difference(seq, where, _shown(one, hidden=hidden), _shown(other, hidden=hidden))
    return None


def _walk(
    path: tuple[str, ...], one: Any, other: Any
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys((*one, *other)):
            yield from _walk((*path, str(name)), one.get(name), other.get(name))
    elif isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        for place, pair in enumerate(zip(one, other, strict=True)):
            yield from _walk((*path, str(place)), *pair)
    elif one != other or type(one) is not type(other):
        yield path, one, other


def _holds_private(value: Any) -> bool:
    """Tell whether a part of a value is private, as in a list that is longer on one side."""
    if isinstance(value, dict):
        return not PRIVATE.isdisjoint(value) or any(map(_holds_private, value.values()))
    return isinstance(value, list | tuple) and any(map(_holds_private, value))


def _shown(value: Any, *, hidden: bool) -> str:
    text = msgspec.json.encode(value).decode()
    if hidden:
        return f"[{len(text)} characters]"
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
