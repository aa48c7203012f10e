"""A webhook body, split into one part for each thing that it tells.

Rule 1: every body gives at least one part, and nothing of it is dropped: what is neither a
message, a status nor an echo is an ``Other`` with a reason.

Rule 2: this module is total. The only error is ``Unreadable``: the bytes are not JSON that
we accept, and then the body is kept whole.

Of a key that stands twice in an object the last one counts, as in Meta's own parsers. Half
of a surrogate pair in an escape becomes ``?``; the rest of the text stays.

Source: WhatsApp Cloud API, "Webhooks", sections "Payload" and "Batching" (up to 1,000 updates
and 3 MB in one body).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NoReturn

import orjson

from schemas.events import Person
from streams.whatsapp.fields import Json, items, mapping, text
from streams.whatsapp.message import Around, read_echo, read_message, read_status
from streams.whatsapp.parts import Alone, Other, Part
from streams.whatsapp.people import Contacts, identifiers

MAX_PARTS: Final = 4096
"""Most parts of one body: four times what WhatsApp sends."""

MAX_DEPTH: Final = 200
"""Deepest nesting; WhatsApp's own bodies have under 20. orjson writes no more than 254."""

_LISTS: Final = ("messages", "statuses", "message_echoes")
_PLAIN: Final = frozenset((*_LISTS, "messaging_product", "metadata", "contacts"))
_METADATA: Final = ("display_phone_number", "phone_number_id")


class Unreadable(Exception):
    """A body that cannot be split.

    Attributes:
        reason: ``not_json``, ``too_deep`` or ``too_many_parts``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse(raw: bytes) -> tuple[Part, ...]:
    """Split a webhook body.

    Raises:
        Unreadable: It is not JSON, or it is nested or filled beyond any body of WhatsApp.
    """
    parts = []
    for part in _body(loads(raw)):
        parts.append(part)
        if len(parts) > MAX_PARTS:
            raise Unreadable("too_many_parts")
    return tuple(parts)


def loads(raw: bytes) -> Json:
    """Read JSON: valid UTF-8, no NaN, not too deep.

    Raises:
        Unreadable: It is none.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = _mended(raw)
    # Only a body with that many openings can be so deep; counting them is quick.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _too_deep(body):
        raise Unreadable("too_deep")
    return body


def _mended(raw: bytes) -> Json:
    """Read JSON that holds halves of surrogate pairs, which orjson refuses."""
    try:
        spoken = json.loads(raw.decode(), parse_constant=_refuse)
        return orjson.loads(json.dumps(spoken, ensure_ascii=False).encode(errors="replace"))
    except RecursionError:
        raise Unreadable("too_deep") from None
    except ValueError:
        raise Unreadable("not_json") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _too_deep(body: Json) -> bool:
    level = [body]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(outer: Json) -> Iterable[Json]:
    if isinstance(outer, dict):
        return outer.values()
    return items(outer)


def _body(body: Json) -> Iterator[Part]:
    entries = items(mapping(body).get("entry"))
    if not entries:
        yield Other(phone_number_id=None, reason="unknown_shape", body=orjson.dumps(body))
    for entry in entries:
        yield from _entry(entry)


def _entry(entry: Json) -> Iterator[Part]:
    changes = items(mapping(entry).get("changes"))
    if not changes:
        yield Other(phone_number_id=None, reason="unknown_shape", body=_posted(entry))
    for change in changes:
        yield from _change(mapping(entry), change)


def _change(entry: Mapping[str, Json], change: Json) -> Iterator[Part]:
    value = mapping(change, "value")
    read = _Change(entry, text(mapping(change).get("field")) or "", value)
    if not any(items(value.get(name)) for name in _LISTS):
        yield read.whole(change)
        return
    for name in _LISTS:
        found = value.get(name)
        for own in items(found):
            yield read.part(name, own)
        if found and not isinstance(found, list):
            yield read.kept(name, found, "unknown_shape")
    # `calls`, `errors` and what may come later; an empty list tells nothing.
    for name in sorted(value.keys() - _PLAIN):
        if value[name]:
            yield read.kept(name, value[name], "no_conversation")


class _Change:
    """One change, read part by part."""

    def __init__(self, entry: Mapping[str, Json], field: str, value: Mapping[str, Json]) -> None:
        metadata = mapping(value, "metadata")
        self._known = bool(value)
        self._entry = {key: found for key in ("id", "time") if (found := text(entry.get(key)))}
        self._metadata = {key: text(metadata.get(key)) for key in _METADATA if key in metadata}
        number = self._metadata.get("phone_number_id")
        self._around = Around(field, number, Contacts(value))

    def part(self, name: str, own: Json) -> Part:
        """Return the draft of one element of a list."""
        around = self._around
        if not isinstance(own, dict):
            return self.kept(name, [own], "unknown_shape")
        if name == "statuses":
            names = own.get("recipient_id"), own.get("recipient_user_id")
            return read_status(own, around, self._alone(name, own, names))
        if name == "messages":
            if text(own.get("group_id")):  # its answer would go to its writer, outside the group
                return self.kept(name, [own], "group_message")
            return read_message(own, around, self._alone(name, own, None))
        if around.field == "history":
            return self.kept(name, [own], "history_echo")
        names = own.get("to"), own.get("to_user_id")
        return read_echo(own, around, self._alone(name, own, names))

    def kept(self, name: str, own: Json, reason: str) -> Other:
        """Return something of the change that belongs to no conversation."""
        body = self._body(name, own, Person())
        return Other(phone_number_id=self._around.phone_number_id, reason=reason, body=body)

    def whole(self, change: Json) -> Other:
        """Return a change of which we read nothing."""
        return Other(
            phone_number_id=self._around.phone_number_id,
            reason="no_conversation" if self._known else "unknown_shape",
            body=_posted({**self._entry, "changes": [change]}),
        )

    def _alone(self, name: str, own: Json, names: tuple[Json, Json] | None) -> Alone:
        def make() -> bytes:
            contacts = self._around.contacts
            who = contacts.sender(own) if names is None else contacts.named(*names)
            return self._body(name, [own], who)

        return make

    def _body(self, name: str, own: Json, who: Person) -> bytes:
        contact = {"wa_id": who.wa_id, "user_id": who.user_id, "profile": {"name": who.name}}
        value = {
            "messaging_product": "whatsapp",
            "metadata": self._metadata,
            **({"contacts": [contact]} if identifiers(who) else {}),
            name: own,
        }
        change = {"field": self._around.field, "value": value}
        return _posted({**self._entry, "changes": [change]})


def _posted(entry: Json) -> bytes:
    return orjson.dumps({"object": "whatsapp_business_account", "entry": [entry]})
