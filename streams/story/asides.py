"""Records of a story that were set aside, or that came back from the dead letters. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.events import Position
from schemas.topics import DLQ_SUFFIX
from sinks.ports import Recorded
from streams.state.parking import PREFIX
from streams.story.details import Detail


@dataclass(frozen=True, slots=True)
class Aside:
    """A record that was not decided when it came.

    Attributes:
        what: What happened to it, in words.
        at_ms: When, Unix milliseconds.
        cause: Where it stood first; None for one that came back.
        details: The facts.
    """

    what: str
    at_ms: int
    cause: Position | None
    details: tuple[Detail, ...]


def aside(record: Recorded) -> Aside | None:
    """Return what happened to a record that was set aside or came back; None for any other."""
    said = {
        name.removeprefix(PREFIX): value.decode(errors="replace")
        for name, value in record.headers
        if name.startswith(PREFIX)
    }
    if not said:
        return None
    number = said.get("sequence", "")
    if record.position.topic.endswith(DLQ_SUFFIX):
        return Aside(_set_aside(said, number), record.written_ms, _origin(said), _facts(said))
    verb = "dropped" if "drop" in said else "came back"
    return Aside(f"{verb} as number {number}" if number else verb, record.written_ms, None, ())


def _set_aside(said: dict[str, str], number: str) -> str:
    stage = said.get("stage", "a stage")
    return f"set aside by {stage} as number {number}" if number else f"given up by {stage}"


def _facts(said: dict[str, str]) -> tuple[Detail, ...]:
    facts = (
        ("reason", said.get("error.type", "")),
        ("error", said.get("error.message", "")),
        ("attempts", said.get("attempts", "")),
        ("parking", said.get("parking", "")),
    )
    return tuple(Detail(name, value) for name, value in facts if value)


def _origin(said: dict[str, str]) -> Position | None:
    try:
        return Position(
            topic=said["original.topic"],
            partition=int(said["original.partition"]),
            offset=int(said["original.offset"]),
        )
    except (KeyError, ValueError):
        return None
