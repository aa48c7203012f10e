"""Shapes of a customer's message that surprise, all seen in public: none of them says less. Pure.

Source: github.com/david-lev/pywa (fixtures), and the issue reports of other receivers: one that
failed on such a body was sent it again for days.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from streams.local.simulator.bodies import objects, user_id_of, values_of

Value = dict[str, Any]


def _no_contacts(value: Value) -> None:
    value.pop("contacts", None)


def _no_profile(value: Value) -> None:
    for contact in objects(value, "contacts"):
        contact.pop("profile", None)


def _number_for_time(value: Value) -> None:
    for message in objects(value, "messages"):
        if str(message.get("timestamp", "")).isdecimal():
            message["timestamp"] = int(message["timestamp"])


def _empty_for_absent(value: Value) -> None:
    for contact in objects(value, "contacts"):
        contact.setdefault("user_id", "")
    for message in objects(value, "messages"):
        message.setdefault("from_user_id", "")
        message.setdefault("context", {})


def _parents(value: Value) -> None:
    for contact in objects(value, "contacts"):
        if isinstance(phone := contact.get("wa_id"), str):
            user_id = user_id_of(phone)
            contact["parent_user_id"] = user_id.replace(".", ".ENT.", 1)


def _unknown_keys(value: Value) -> None:
    for part in ("contacts", "messages"):
        for each in objects(value, part):
            each["added_in_a_later_version"] = {"of": ["the", "API"], "so": None}


def _echoes_beside(value: Value) -> None:
    value["message_echoes"] = []
    value["statuses"] = []


def _no_type(value: Value) -> None:
    for message in objects(value, "messages"):
        if message.get("type") == "text":
            del message["type"]


ODDITIES: Final[dict[str, Callable[[Value], None]]] = {
    "no_contacts": _no_contacts,
    "no_profile": _no_profile,
    "number_for_time": _number_for_time,
    "empty_for_absent": _empty_for_absent,
    "parents": _parents,
    "unknown_keys": _unknown_keys,
    "echoes_beside": _echoes_beside,
    "no_type": _no_type,
}


def make_odd(body: object, number: int) -> str:
    """Give a body the n-th shape, in turn; return its name."""
    names = tuple(ODDITIES)
    name = names[number % len(names)]
    for value in values_of(body):
        ODDITIES[name](value)
    return name
