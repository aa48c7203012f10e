"""One message, status or echo of a change, read into its draft."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from schemas.events import DeliveryStatus, MessageKind, Person
from streams.whatsapp.content import content
from streams.whatsapp.fields import Json, items, mapping, millis, number, text
from streams.whatsapp.parts import Alone, Echo, Message, Status
from streams.whatsapp.people import Contacts, identifiers, person

WAMID_CHARS: Final = 256
"""Longest id that is kept as it is; WhatsApp's own are under 100."""

_LIVE: Final = frozenset(("messages", ""))
_STATUSES: Final = frozenset(DeliveryStatus)


@dataclass(frozen=True, slots=True)
class Around:
    """What the updates of one change have in common.

    Attributes:
        field: The change's field, such as ``messages``.
        phone_number_id: The business number, when it is named.
        contacts: The people of the change.
    """

    field: str
    phone_number_id: str | None
    contacts: Contacts


def read_message(own: Mapping[str, Json], around: Around, alone: Alone) -> Message:
    """Return a customer's message; only those of the field ``messages`` are answered.

    ``history`` carries follow-ups of old ones, and of other fields we do not know.
    """
    raw = orjson.dumps(own)
    who = around.contacts.sender(own)
    said = content(own)
    return Message(
        phone_number_id=around.phone_number_id,
        wamid=_wamid(own, raw),
        content=said,
        sender=_from_now_on(who, own),
        identifiers=(*identifiers(who), *_renamed(own)),
        reply_to_wamid=text(mapping(own, "context").get("id")),
        answerable=around.field in _LIVE and said.kind is not MessageKind.SYSTEM,
        sent_at=millis(own.get("timestamp")),
        raw=raw,
        alone=alone,
    )


def read_status(own: Mapping[str, Json], around: Around, alone: Alone) -> Status:
    """Return what became of a message that we sent."""
    raw = orjson.dumps(own)
    error = next((found for found in items(own.get("errors")) if isinstance(found, dict)), {})
    pricing = mapping(own, "pricing")
    status = text(own.get("status"))
    billable = pricing.get("billable")
    return Status(
        phone_number_id=around.phone_number_id,
        wamid=_wamid(own, raw),
        status=DeliveryStatus(status) if status in _STATUSES else DeliveryStatus.UNKNOWN,
        callback=text(own.get("biz_opaque_callback_data")),
        identifiers=_recipients(own, around.contacts),
        participant=text(own.get("recipient_participant_id"))
        or text(own.get("recipient_participant_user_id")),
        status_at=millis(own.get("timestamp")),
        error_code=number(error.get("code")),
        error_title=text(error.get("title")),
        billable=billable if isinstance(billable, bool) else None,
        pricing_category=text(pricing.get("category")),
        raw=raw,
        alone=alone,
    )


def read_echo(own: Mapping[str, Json], around: Around, alone: Alone) -> Echo:
    """Return what a person of the company sent from the phone app."""
    raw = orjson.dumps(own)
    who = around.contacts.named(own.get("to"), own.get("to_user_id"))
    return Echo(
        phone_number_id=around.phone_number_id,
        wamid=_wamid(own, raw),
        content=content(own),
        recipient=who,
        identifiers=identifiers(who),
        sent_at=millis(own.get("timestamp")),
        raw=raw,
        alone=alone,
    )


def _wamid(own: Mapping[str, Json], raw: bytes) -> str:
    """Return the id, or one that follows from the object: a repetition then has the same."""
    wamid = text(own.get("id"), WAMID_CHARS + 1)
    if wamid is not None and len(wamid) <= WAMID_CHARS:
        return wamid
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def _recipients(own: Mapping[str, Json], contacts: Contacts) -> tuple[str, ...]:
    if own.get("recipient_type") == "group":
        group = text(own.get("recipient_id"))
        return (f"group:{group}",) if group else ()
    return identifiers(contacts.named(own.get("recipient_id"), own.get("recipient_user_id")))


def _renamed(own: Mapping[str, Json]) -> tuple[str, ...]:
    """Return the further names that WhatsApp itself says are the same person's.

    Sources disagree whether ``from`` is the old number or the new one, so both lead to the
    conversation; a name that leads to another conversation already stays there.
    """
    system = mapping(own, "system")
    if system.get("type") == "user_changed_number":
        known = [system.get("wa_id"), system.get("new_wa_id")]
        return _names([person(name) for name in known])
    if system.get("type") == "user_changed_user_id":
        known = [system.get("previous_user_id"), system.get("user_id")]
        return _names([person(user_id=name) for name in known])
    return ()


def _from_now_on(who: Person, own: Mapping[str, Json]) -> Person:
    """Return a customer under the name that WhatsApp says is theirs now, if it says so.

    ``from`` is the name that they had, by Meta's own page.

    Source: WhatsApp Cloud API, "System messages webhook reference" (``system.wa_id``); before
    version 12 it was ``new_wa_id``.
    """
    system = mapping(own, "system")
    new = Person()
    if system.get("type") == "user_changed_number":
        new = person(system.get("new_wa_id"), system.get("wa_id"))
    elif system.get("type") == "user_changed_user_id":
        new = person(user_id=system.get("user_id"))
    return Person(wa_id=new.wa_id or who.wa_id, user_id=new.user_id or who.user_id, name=who.name)


def _names(people: list[Person]) -> tuple[str, ...]:
    return tuple(name for who in people for name in identifiers(who))
