"""Real webhook bodies, made new for each run: fresh customers and message ids. Pure.

Only names are rewritten: ids of messages, customers' numbers and user ids, and business numbers
that their authors replaced by words. Everything else is as it was recorded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import orjson

PEOPLE: Final = frozenset({"from", "to", "wa_id", "recipient_id"})
USERS: Final = frozenset(
    {
        "user_id", "parent_user_id", "from_user_id", "to_user_id", "recipient_user_id",
        "from_parent_user_id", "to_parent_user_id", "parent_recipient_user_id",
        "recipient_parent_user_id", "previous_user_id",
    }
)  # fmt: skip
MESSAGES: Final = ("messages", "message_echoes")
CUSTOMER: Final = "5501"
"""No number of Brazil's plan begins so: 55, area code 01."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded body.

    Attributes:
        name: Its file and variant.
        body: The body, parsed.
    """

    name: str
    body: Any


def recorded() -> list[Recorded]:
    """Return every shipped body, in the order of names."""
    folder = files("streams.local.demo").joinpath("payloads")
    found = sorted((p for p in folder.iterdir() if p.name.endswith(".json")), key=lambda p: p.name)
    return [
        each for path in found for each in _variants(path.name, orjson.loads(path.read_bytes()))
    ]


def _variants(name: str, content: Any) -> Iterator[Recorded]:
    stem = name.removesuffix(".json")
    if "object" in content:
        yield Recorded(stem, content)
        return
    for variant, body in content.items():
        yield Recorded(f"{stem}/{variant}", body)


def fresh(each: Recorded, run: str) -> Any:
    """Return the body with names that belong to this run alone.

    Equal names stay equal inside a run, so that a customer's conversation stays one; the ids of
    messages also differ from body to body, because many recordings share one invented id.
    """
    return _renamed(each.body, each.name, run, _business_numbers(each.body))


def phone_number_ids() -> set[str]:
    """Return the business numbers of all bodies, as ``fresh`` names them."""
    found: set[str] = set()
    for each in recorded():
        found |= {_number(value) for key, value in _pairs(each.body) if key == "phone_number_id"}
    return found


def _business_numbers(body: Any) -> frozenset[str]:
    named = ("phone_number_id", "display_phone_number")
    texts = {str(value) for key, value in _pairs(body) if key in named}
    return frozenset(text for text in texts if text.isdigit())


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key and value of the metadata in a body."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "metadata" and isinstance(inner, dict):
                yield from inner.items()
            yield from _pairs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _pairs(inner)


def _renamed(value: Any, name: str, run: str, business: frozenset[str], key: str = "") -> Any:
    if key == "messages":
        business = frozenset()  # one recording names the business as the sender, to hide a person
    if isinstance(value, list):
        return [_renamed(inner, name, run, business, key) for inner in value]
    if isinstance(value, dict):
        return {
            inner_key: _message_id(inner, name, run)
            if inner_key == "id" and key in MESSAGES
            else _renamed(inner, name, run, business, inner_key)
            for inner_key, inner in value.items()
        }
    if key == "phone_number_id":
        return _number(value)
    if not isinstance(value, str) or not value or value in business:
        return value
    if key in PEOPLE:
        return CUSTOMER + _digits(f"{run}:{value}", 9)
    return f"{value}{_digits(run, 6)}" if key in USERS else value


def _message_id(value: Any, name: str, run: str) -> Any:
    if not isinstance(value, str) or not value:
        return value
    return f"{value}.{_digits(f'{run}:{name}', 12)}"


def _number(value: Any) -> str:
    """Return a business number; one that was replaced by words gets digits."""
    text = str(value)
    return text if text.isdigit() else "1" + _digits(text, 14)


def _digits(text: str, count: int) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return f"{int.from_bytes(digest) % 10**count:0{count}d}"
