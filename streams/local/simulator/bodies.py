"""Webhook bodies as plain data: what is in them, many made one, phone numbers taken out. Pure."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Final

from streams.local.simulator.envelopes import WABA_ID, envelope

PARTS: Final = ("contacts", "messages", "statuses", "errors")

UPDATES_MAX: Final = 1000
"""Most updates of one POST. Source: Meta, "Webhooks: Delivery"."""


def values_of(body: object) -> Iterator[dict[str, Any]]:
    """Yield the values of a webhook body: what it tells of each business number."""
    for change in _changes(body):
        if isinstance(value := change.get("value"), dict):
            yield value


def objects(value: dict[str, Any], part: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of one part of a value, such as ``messages``."""
    found = value.get(part)
    yield from (
        each for each in (found if isinstance(found, list) else ()) if isinstance(each, dict)
    )


def number_of(value: dict[str, Any]) -> str:
    """Return the business number that a value is about; empty when it does not say."""
    metadata = value.get("metadata")
    number = metadata.get("phone_number_id") if isinstance(metadata, dict) else None
    return number if isinstance(number, str) else ""


def ids_in(body: object) -> tuple[str, ...]:
    """Return the ids of the messages that a body is about."""
    return tuple(
        str(each["id"])
        for value in values_of(body)
        for part in ("messages", "statuses")
        for each in objects(value, part)
        if "id" in each
    )


def updates_in(body: object, part: str) -> int:
    """Return how many messages or statuses a body has."""
    return sum(sum(1 for _ in objects(value, part)) for value in values_of(body))


def merged(bodies: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return one body for many: what is told of a business number stands together."""
    numbers: dict[str, dict[str, list[Any]]] = {}
    others: list[Any] = []
    for change in itertools.chain.from_iterable(map(_changes, bodies)):
        value = change.get("value")
        if change.get("field") != "messages" or not isinstance(value, dict) or not number_of(value):
            others.append(change)
            continue
        told = numbers.setdefault(number_of(value), {})
        for part in PARTS:
            if isinstance(value.get(part), list):
                told.setdefault(part, []).extend(value[part])
    changes = [envelope(number, told)["entry"][0]["changes"][0] for number, told in numbers.items()]
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": WABA_ID, "changes": [*changes, *others]}],
    }


def _changes(body: object) -> Iterator[dict[str, Any]]:
    if isinstance(body, dict):
        for entry in objects(body, "entry"):
            yield from objects(entry, "changes")


def user_id_of(phone: str) -> str:
    """Return the business-scoped user id of a customer without a phone number."""
    digest = hashlib.blake2b(f"simulator:user:{phone}".encode(), digest_size=8).digest()
    return f"BR.{10**19 + int.from_bytes(digest)}"


def customers_in(body: object) -> set[str]:
    """Return the phone numbers of the customers who wrote."""
    return {
        message["from"]
        for value in values_of(body)
        for message in objects(value, "messages")
        if isinstance(message.get("from"), str) and message["from"].isdigit()
    }


def without_phone(body: object, phone: str) -> None:
    """Take a customer's phone number out of a body; a user id stands instead of it."""
    user_id = user_id_of(phone)
    for value in values_of(body):
        for contact in objects(value, "contacts"):
            if contact.get("wa_id") == phone:
                del contact["wa_id"]
                contact["user_id"] = user_id
        for message in objects(value, "messages"):
            if message.get("from") == phone:
                del message["from"]
                message["from_user_id"] = user_id
