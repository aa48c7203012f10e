"""Lines of the history as dispatch keeps them: which bubble carries one, and how that ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from agents.core.texts import LINE_CHARS, NOT_KNOWN, NOT_REACHED, shortened
from schemas.changing import replace
from schemas.events import BubbleState, Line

_MARKS: Final = {
    BubbleState.DROPPED: NOT_REACHED,
    BubbleState.FAILED: NOT_REACHED,
    BubbleState.UNKNOWN: NOT_KNOWN,
}


class Spoken(Line, frozen=True, kw_only=True):
    """A line of the history.

    Attributes:
        bubble_id: The bubble that carries it, unless it is known not to have reached the customer.
    """

    bubble_id: str | None = None


def told(history: Iterable[Spoken]) -> tuple[Line, ...]:
    """Return the history as others are told it."""
    return tuple(
        Line(role=each.role, text=each.text, wamid=each.wamid, at=each.at) for each in history
    )


def ended(history: tuple[Spoken, ...], bubble_id: str, state: BubbleState) -> tuple[Spoken, ...]:
    """Return the history after the end of a bubble: what was not sent does not count as said.

    It is marked and stays, because whoever goes on must know what was done, and was not told.
    """
    mark = _MARKS.get(state)
    if mark is None:
        return history
    return tuple(
        replace(each, text=shortened(f"{mark} {each.text}", LINE_CHARS), bubble_id=None)
        if each.bubble_id == bubble_id
        else each
        for each in history
    )
