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
from collections.abc import Mapping
from typing import Final

from schemas.events import Person
from streams.whatsapp.fields import Json, items, mapping, text

_DIGITS: Final = 31
"""Twice the longest number of E.164; longer ones are ids of another kind."""

_PHONE: Final = re.compile(r"\+?[0-9][0-9 ().-]{0,30}", re.ASCII)
_BRAZIL_MOBILE: Final = re.compile(r"55([1-9][1-9])9([016-9][0-9]{7})", re.ASCII)
_MEXICO_MOBILE: Final = re.compile(r"521([0-9]{10})", re.ASCII)


def digits(value: Json) -> str | None:
    """Return the digits of a telephone number; None when it is something else."""
    found = text(value)
    if found is None:
        return None
    if found.isascii() and found.isdigit():
        return found if len(found) <= _DIGITS else None
    if not _PHONE.fullmatch(found.strip()):
        return None
    return re.sub(r"[^0-9]", "", found)


def person(*names: Json, user_id: Json = None, profile: Json = None) -> Person:
    """Return the person whom these values name; a user id may stand in any of them."""
    number, user = None, text(user_id)
    for name in names:
        found = digits(name)
        number = number or found
        if found is None and user is None:
            user = text(name)
    return Person(wa_id=number, user_id=user, name=text(mapping(profile).get("name")))


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


class Contacts:
    """The people around the updates of one change; built once for all of them."""

    def __init__(self, value: Mapping[str, Json]) -> None:
        self._listed = [_listed(one) for one in items(value.get("contacts")) if mapping(one)]
        self._by_name = {name: who for who in reversed(self._listed) for name in identifiers(who)}
        metadata = mapping(value, "metadata")
        own = (metadata.get("phone_number_id"), metadata.get("display_phone_number"))
        self._business = {number for name in own if (number := digits(name))}
        lists = ("messages", "statuses", "message_echoes")
        self._updates = sum(len(items(value.get(name))) for name in lists)

    def sender(self, message: Mapping[str, Json]) -> Person:
        """Return who wrote a message of this change.

        ``from`` may be absent, a user id, or the business number itself; then the contact of
        the change tells who it is, if it can only be that one.
        """
        written = message.get("from")
        if len(self._listed) == 1 and digits(written) in self._business:
            written = None
        return self.named(written, message.get("from_user_id"))

    def named(self, number: Json, user_id: Json) -> Person:
        """Return the person of these names, with what the contacts add to them."""
        who = person(number, user_id=user_id)
        listed = self._contact(who)
        if listed is None:
            return who
        return Person(
            wa_id=who.wa_id or listed.wa_id,
            user_id=who.user_id or listed.user_id,
            name=listed.name,
        )

    def _contact(self, who: Person) -> Person | None:
        """Return the contact that shares a name with a person, or contradicts none."""
        names = identifiers(who)
        for name in names:
            if name in self._by_name:
                return self._by_name[name]
        if len(self._listed) != 1 or _two_people(self._listed[0], who):
            return None
        # Only of one update can the only contact be told to be its person.
        return self._listed[0] if not names or self._updates == 1 else None


def _listed(contact: Mapping[str, Json]) -> Person:
    profile = contact.get("profile")
    return person(contact.get("wa_id"), user_id=contact.get("user_id"), profile=profile)


def _two_people(one: Person, other: Person) -> bool:
    """Tell whether both name a number, or both a user id: they share neither."""
    return bool((one.wa_id and other.wa_id) or (one.user_id and other.user_id))
