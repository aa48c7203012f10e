"""The history of a run on disk: one fact a line, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import Misconfigured
from streams.local.chaos.facts import KINDS, Fact


def write(path: Path, facts: Iterable[Fact]) -> None:
    """Write a history; an earlier one of that name is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for fact in facts:
            plain = {"fact": type(fact).__name__.lower(), **msgspec.to_builtins(fact)}
            file.write(msgspec.json.encode(plain) + b"\n")


def read(path: Path) -> Iterator[Fact]:
    """Yield the facts of a history.

    Raises:
        Misconfigured: There is no such file, or a line of it is no fact.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield _fact(line, f"{path}:{number}")
    except OSError as exc:
        raise Misconfigured(f"{path} cannot be read: {exc.strerror}") from exc


def _fact(line: bytes, where: str) -> Fact:
    try:
        plain: Mapping[str, Any] = msgspec.json.decode(line)
        return msgspec.convert(
            {k: v for k, v in plain.items() if k != "fact"}, KINDS[plain["fact"]]
        )
    except (msgspec.MsgspecError, KeyError, AttributeError, TypeError) as exc:
        raise Misconfigured(f"{where} is no fact of a chaos run") from exc
