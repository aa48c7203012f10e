"""A story as lines for a person, or as plain data for a program. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, Final

from streams.story.bubbles import Bubble, Step
from streams.story.details import Detail, clock, day, where
from streams.story.trace import Entry, Story

WHAT_CHARS: Final = 44
DETAIL_CHARS: Final = 110
LONG_MS: Final = 600_000
INDENT: Final = " " * 7
LONG: Final = frozenset({"model", "passage", "outcome", "messages", "tool calls"})
"""Details that get a line of their own, as private ones do; the others share lines."""


def lines(told: Story, *, show_text: bool = False) -> Iterator[str]:
    """Yield a story as lines for a person."""
    yield from _head(told)
    began = told.entries[0].at_ms if told.entries else 0
    shown: dict[tuple[Detail, ...], int] = {}
    today = ""
    for entry in told.entries:
        if day(entry.at_ms) != today:
            today = day(entry.at_ms)
            yield f"{today} UTC"
        yield _line(entry, began)
        yield from (INDENT + line for line in _details(entry, shown, show_text=show_text))
    for bubble in told.bubbles:
        yield from _bubble(bubble)
    for outcome in told.outcomes:
        turn = f", turn {outcome.turn_id}" if outcome.turn_id else ""
        yield f"outcome of {outcome.wamid}: {outcome.kind} ({outcome.reason}{turn})"
    ours = {bubble.wamid for bubble in told.bubbles}
    customers = told.trace_id is not None
    if customers and told.wamid not in ours and not told.outcomes:
        yield f"outcome of {told.wamid}: none yet"


def _head(told: Story) -> Iterator[str]:
    yield f"conversation {told.conversation_id}"
    if told.wamid:
        yield f"message {told.wamid}"
    if told.entries:
        yield f"tenant {told.tenant_id}" + (f", trace {told.trace_id}" if told.trace_id else "")


def _line(entry: Entry, began: int) -> str:
    """Return number, time, time since the beginning, cause, what happened, and where it stands."""
    because = ""
    if entry.because:
        because = f"from {entry.because}"
    elif entry.cause:
        because = f"from {where(entry.cause)}"
    since = _span(entry.at_ms - began)
    return (
        f"{entry.number:>3}  {clock(entry.at_ms)} {since:>10}  {because:<8}"
        f" {entry.what:<{WHAT_CHARS}}  {where(entry.position)}"
    )


def _span(span_ms: int) -> str:
    """Return a span in milliseconds; a long one in hours, minutes and seconds."""
    if span_ms < LONG_MS:
        return f"+{span_ms} ms"
    minutes, seconds = divmod(span_ms // 1000, 60)
    return f"+{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _details(
    entry: Entry, shown: dict[tuple[Detail, ...], int], *, show_text: bool
) -> Iterator[str]:
    """Yield the facts; passages that an earlier line has are named by it."""
    own = [each for each in entry.details if each.private or each.name in LONG]
    yield from _packed(f"{d.name}: {d.value}" for d in entry.details if d not in own)
    passages = tuple(each for each in own if each.name == "passage")
    first = shown.setdefault(passages, entry.number)
    for each in own:
        if each not in passages or first == entry.number:
            yield f"{each.name}: {each.shown(show_text=show_text)}"
        elif each is passages[0]:
            yield f"passages: the same {len(passages)} as in {first}"


def _packed(facts: Iterable[str]) -> Iterator[str]:
    """Yield short facts, as many in a line as go."""
    line = ""
    for fact in facts:
        if line and len(line) + len(fact) + 3 > DETAIL_CHARS:
            yield line
            line = ""
        line += f" · {fact}" if line else fact
    if line:
        yield line


def _bubble(bubble: Bubble) -> Iterator[str]:
    named = f"bubble {bubble.ordinal} of {bubble.of} of {bubble.author}: {bubble.bubble_id}"
    yield named + (f" {bubble.wamid}" if bubble.wamid else "")
    told = []
    before = 0
    for step in bubble.steps:
        told.append(_step(step, before))
        before = step.at_ms
    yield INDENT + ", ".join(told)


def _step(step: Step, before: int) -> str:
    """Return a step; its time only when it is another than that of the step before."""
    at = f" {clock(step.at_ms)}" if step.at_ms != before else ""
    attempt = f" (attempt {step.attempt})" if step.what == "posted" else ""
    why = f" ({step.why})" if step.why else ""
    return f"{step.what}{at}{attempt}{why}"


def plain(told: Story, *, show_text: bool = False) -> dict[str, Any]:
    """Return a story as plain data."""
    return {
        "conversation_id": told.conversation_id,
        "tenant_id": told.tenant_id,
        "wamid": told.wamid,
        "trace_id": told.trace_id,
        "entries": [_plain_entry(entry, show_text=show_text) for entry in told.entries],
        "bubbles": [asdict(bubble) for bubble in told.bubbles],
        "outcomes": [
            {"wamid": o.wamid, "kind": str(o.kind), "reason": o.reason, "turn_id": o.turn_id}
            for o in told.outcomes
        ],
    }


def _plain_entry(entry: Entry, *, show_text: bool) -> dict[str, Any]:
    return {
        "number": entry.number,
        "at_ms": entry.at_ms,
        "topic": entry.position.topic,
        "partition": entry.position.partition,
        "offset": entry.position.offset,
        "because": entry.because,
        "what": entry.what,
        "details": [[each.name, each.shown(show_text=show_text)] for each in entry.details],
    }
