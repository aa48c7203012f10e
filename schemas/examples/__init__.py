"""Golden records: one JSON file each, as docs show them and tests must round-trip them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import get_args

import msgspec

from schemas.events import Event


@dataclass(frozen=True, slots=True)
class Example:
    """A record that could be on its topic.

    Attributes:
        name: Name of its file, without suffix.
        event: The record.
        text: The file as it is.
    """

    name: str
    event: Event
    text: str


def render(event: Event) -> str:
    """Return the JSON of an event as an example's file holds it."""
    return msgspec.json.format(msgspec.json.encode(event), indent=2).decode() + "\n"


def examples() -> tuple[Example, ...]:
    """Return every example, in the order of records and names.

    Raises:
        msgspec.ValidationError: A file is not an event of its folder's record.
    """
    return tuple(example for record in get_args(Event) for example in _of(record))


def _of(record: type[Event]) -> tuple[Example, ...]:
    folder = files("schemas") / "examples" / record.__name__
    if not folder.is_dir():
        return ()
    found = sorted(
        (path for path in folder.iterdir() if path.name.endswith(".json")), key=lambda p: p.name
    )
    return tuple(
        _load(path.name.removesuffix(".json"), path.read_text("utf-8"), record) for path in found
    )


def _load(name: str, text: str, record: type[Event]) -> Example:
    event: Event = msgspec.json.decode(text, type=record)
    return Example(name, event, text)
