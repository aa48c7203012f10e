"""Who a part is about: the names under which a customer is looked up.

Rule 1: a name is ``wa:<digits>`` or ``user:<id>``; what is not digits is a business-scoped
user id, whichever key it stands under. The empty string is no name.

Rule 2: two numbers have one name only where the country's numbering says that they are one
telephone. Brazil put a 9 before the mobile numbers that began with 6 to 9; a number that
begins with 2 to 5 without the 9 is a landline and another telephone. Mexico dropped the 1
between 52 and the ten digits of a mobile number.

Rule 3: the profile name is never a name to look up: two people may both be called Maria.

Source: Anatel, resolution 553/2010 (ninth digit); IFT, numbering plan of 2019-08-03; WhatsApp
Cloud API, "Phone numbers" (Brazil and Mexico); "Business-scoped user IDs".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from schemas.events import Person
from streams.whatsapp.fields import Json, items, mapping, text

_PHONE: Final = re.compile(r"\+?[0-9][0-9 ().-]{0,30}", re.ASCII)
_BRAZIL_MOBILE: Final = re.compile(r"55([1-9][1-9])9([016-9][0-9]{7})", re.ASCII)
_MEXICO_MOBILE: Final = re.compile(r"521([0-9]{10})", re.ASCII)


def digits(value: Json) -> str | None:
    """Return the digits of a telephone number; None when it is something else."""
    found = text(value)
    if found is None or not _PHONE.fullmatch(found.strip()):
        return None
    return re.sub(r"[^0-9]", "", found)


def person(*names: Json, user_id: Json = None, profile: Json = None) -> Person:
    """Return the person whom these values name; a user id may stand in any of them."""
    numbers = [found for name in names if (found := digits(name))]
    users = [text(user_id), *(text(name) for name in names if digits(name) is None)]
    return Person(
        wa_id=numbers[0] if numbers else None,
        user_id=next((user for user in users if user), None),
        name=text(mapping(profile).get("name")),
    )


def identifiers(who: Person) -> tuple[str, ...]:
    """Return the names to look a person up by; the telephone number comes first."""
    names = []
    if who.wa_id:
        names.append(f"wa:{canonical(who.wa_id)}")
    if who.user_id:
        names.append(f"user:{who.user_id}")
    return tuple(names)


def canonical(number: str) -> str:
    """Return the one spelling of a number that WhatsApp may write in two ways."""
    if found := _BRAZIL_MOBILE.fullmatch(number):
        return f"55{found[1]}{found[2]}"
    if found := _MEXICO_MOBILE.fullmatch(number):
        return f"52{found[1]}"
    return number


def sender(value: Mapping[str, Json], message: Mapping[str, Json]) -> Person:
    """Return who wrote a message of this change.

    ``from`` may be absent, a user id, or the business number itself; then the contact of the
    change tells who it is, if it can only be that one.
    """
    written = message.get("from")
    if _is_business(value, written) and (contact := _only_contact(value)):
        written = contact.get("wa_id")
    named = person(written, user_id=message.get("from_user_id"))
    contact = contact_of(value, named)
    return _joined(named, contact)


def recipient(value: Mapping[str, Json], number: Json, user_id: Json) -> Person:
    """Return whom a status or an echo of this change names."""
    named = person(number, user_id=user_id)
    return _joined(named, contact_of(value, named))


def contact_of(value: Mapping[str, Json], named: Person) -> Mapping[str, Json]:
    """Return the contact entry of a person: one that shares a name and contradicts none."""
    contacts = [contact for contact in items(value.get("contacts")) if isinstance(contact, dict)]
    for contact in contacts:
        if _shared(contact, named):
            return contact
    if len(contacts) != 1 or _contradicted(contacts[0], named):
        return {}
    # Only of one update can the only contact be told to be its person.
    return contacts[0] if not identifiers(named) or _updates(value) == 1 else {}


def _joined(named: Person, contact: Mapping[str, Json]) -> Person:
    listed = person(
        contact.get("wa_id"), user_id=contact.get("user_id"), profile=contact.get("profile")
    )
    return Person(
        wa_id=named.wa_id or listed.wa_id,
        user_id=named.user_id or listed.user_id,
        name=listed.name,
    )


def _shared(contact: Mapping[str, Json], named: Person) -> bool:
    listed = person(contact.get("wa_id"), user_id=contact.get("user_id"))
    return bool(set(identifiers(listed)) & set(identifiers(named)))


def _contradicted(contact: Mapping[str, Json], named: Person) -> bool:
    """Tell whether both name a number, or both a user id: then they are two people."""
    listed = person(contact.get("wa_id"), user_id=contact.get("user_id"))
    numbers = bool(listed.wa_id and named.wa_id)
    return numbers or bool(listed.user_id and named.user_id)


def _updates(value: Mapping[str, Json]) -> int:
    lists = ("messages", "statuses", "message_echoes")
    return sum(len(items(value.get(name))) for name in lists)


def _is_business(value: Mapping[str, Json], written: Json) -> bool:
    metadata = mapping(value, "metadata")
    own = (digits(metadata.get("phone_number_id")), digits(metadata.get("display_phone_number")))
    return digits(written) in {number for number in own if number}


def _only_contact(value: Mapping[str, Json]) -> Mapping[str, Json] | None:
    contacts: Sequence[Json] = items(value.get("contacts"))
    if len(contacts) == 1 and isinstance(contacts[0], dict):
        return contacts[0]
    return None
