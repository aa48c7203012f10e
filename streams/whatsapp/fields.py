"""Reading JSON of any shape: what is missing, empty or of another type is None, never an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Json = Any
"""Whatever a JSON parser returns."""

TEXT_CHARS: Final = 16_384
"""Longest text that an event holds; WhatsApp's own limit is 4,096. The rest is in the raw part."""

NAME_CHARS: Final = 512
"""Longest id, name or title; WhatsApp's own are under 256."""

LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999: what readers of Avro's timestamps can still show as a date."""

_DIGITS: Final = 10
"""Digits of the largest number of 32 bits."""

_NOTHING: Final[Mapping[str, Json]] = {}


def mapping(value: Json, *keys: str) -> Mapping[str, Json]:
    """Return the object at a path of keys; an empty one when there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else _NOTHING


def items(value: Json) -> list[Json]:
    """Return a list, or the empty list for anything else."""
    return value if isinstance(value, list) else []


def text(value: Json, limit: int = NAME_CHARS) -> str | None:
    """Return a string or an integer as text; None for anything else and for the empty string.

    NUL becomes U+FFFD: Postgres holds no NUL in a text.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value)[:limit].replace("\x00", "\ufffd") or None


def number(value: Json) -> int:
    """Return a whole number of at most 32 bits, also from its digits; 0 for anything else."""
    found = text(value)
    if found is None or len(found) > _DIGITS or not found.isascii() or not found.isdigit():
        return 0
    return min(int(found), 2**31 - 1)


def millis(value: Json) -> int | None:
    """Return WhatsApp's timestamp (seconds, text or number) in milliseconds.

    A wrong time is kept as it is, from 1970 to the year 9999: it is data, and decides nothing.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    if seconds != seconds:  # noqa: PLR0124 - only NaN differs from itself
        return None
    return int(min(max(seconds, 0.0) * 1000, LAST_MS))
