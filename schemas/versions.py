"""The versions of each record's schema that this project has ever had: ``avro/<Record>/<n>.avsc``.

The newest is drawn from the record's class. It may still change until it is released
(``avro/released.json``); after that a change of the class begins the next version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, get_args

from schemas.avro_schema import schema_of
from schemas.events import Event
from schemas.evolution import incompatibilities

SUFFIX: Final = ".avsc"
RELEASED: Final = "schemas/avro/released.json"
"""Path of the newest released version of each record, from the project's root."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a record's schema.

    Attributes:
        record: Name of the record.
        number: Number of the version, from 1.
        text: The file as it is.
    """

    record: str
    number: int
    text: str

    @property
    def path(self) -> str:
        """Path of its file, from the project's root."""
        return f"schemas/avro/{self.record}/{self.number}{SUFFIX}"

    @property
    def schema(self) -> Any:
        """The schema as plain data."""
        return json.loads(self.text)


def render(schema: Any) -> str:
    """Return the text of a schema's file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def kept() -> dict[str, tuple[Version, ...]]:
    """Return the versions that are kept of each record, oldest first."""
    return {record.__name__: tuple(_kept(record.__name__)) for record in get_args(Event)}


def released() -> dict[str, int]:
    """Return the newest released version of each record that has one."""
    numbers: dict[str, int] = json.loads((_folder() / "released.json").read_text("utf-8"))
    return numbers


def newest(versions: dict[str, tuple[Version, ...]], frozen: dict[str, int]) -> Iterator[Version]:
    """Return what the newest version of each record must be, drawn from its class.

    Args:
        versions: What is kept.
        frozen: The newest released version of each record.
    """
    for record in get_args(Event):
        past = versions[record.__name__]
        text = render(schema_of(record))
        number = past[-1].number if past else 1
        if past and past[-1].text != text and number <= frozen.get(record.__name__, 0):
            number += 1
        yield Version(record.__name__, number, text)


def misfits(version: Version, past: tuple[Version, ...]) -> tuple[str, ...]:
    """Return why a version cannot live beside each earlier one (FULL_TRANSITIVE)."""
    return tuple(
        f"{version.path} and {older.number}{SUFFIX}: {why}"
        for older in past
        if older.number < version.number
        for why in incompatibilities(older.schema, version.schema)
    )


def _folder() -> Traversable:
    return files("schemas") / "avro"


def _kept(record: str) -> list[Version]:
    folder = _folder() / record
    if not folder.is_dir():
        return []
    found = [
        Version(record, int(path.name.removesuffix(SUFFIX)), path.read_text("utf-8"))
        for path in folder.iterdir()
        if path.name.endswith(SUFFIX)
    ]
    return sorted(found, key=lambda version: version.number)
