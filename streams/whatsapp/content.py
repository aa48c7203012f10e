"""What a message says, read from its object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from schemas.events import Media, MessageKind
from streams.whatsapp.fields import TEXT_CHARS, Json, items, mapping, text
from streams.whatsapp.parts import Content

Read = Callable[[MessageKind, Json], Content]

_UNSUPPORTED: Final = Content(kind=MessageKind.UNSUPPORTED)


def content(message: Mapping[str, Json]) -> Content:
    """Return what a message says; ``unsupported`` when its type or its own object is unknown.

    A message without ``type`` is of the kind whose object it carries.
    """
    kind = text(message.get("type")) or next((name for name in _READERS if name in message), "")
    read = _READERS.get(kind)
    own = message.get(kind)
    if read is None or not isinstance(own, (dict, list)) or not own:
        return _UNSUPPORTED
    return read(MessageKind(kind), own)


def _text(kind: MessageKind, own: Json) -> Content:
    words = _words(own, "body")
    return Content(kind=kind, text=words) if words else _UNSUPPORTED


def _file(kind: MessageKind, own: Json) -> Content:
    return Content(kind=kind, text=_words(own, "caption"), media=_media(mapping(own)))


def _media(own: Mapping[str, Json]) -> Media | None:
    media_id = text(own.get("id"))
    if media_id is None:
        return None
    return Media(
        media_id=media_id,
        mime_type=text(own.get("mime_type")),
        sha256=text(own.get("sha256")),
        filename=text(own.get("filename")),
        voice=own.get("voice") is True,
    )


def _location(kind: MessageKind, own: Json) -> Content:
    place = [words for key in ("name", "address") if (words := _words(own, key))]
    return Content(kind=kind, text=", ".join(place) or None)


def _contacts(kind: MessageKind, own: Json) -> Content:
    names = [text(mapping(card, "name").get("formatted_name")) for card in items(own)]
    return Content(kind=kind, text=", ".join(filter(None, names))[:TEXT_CHARS] or None)


def _order(kind: MessageKind, own: Json) -> Content:
    return Content(kind=kind, text=_words(own, "text"))


def _interactive(kind: MessageKind, own: Json) -> Content:
    for name in ("button_reply", "list_reply"):
        if reply := mapping(own, name):
            return Content(kind=kind, text=_words(reply, "title"), button_id=text(reply.get("id")))
    flow = mapping(own, "nfm_reply")
    return Content(kind=kind, text=_words(flow, "response_json") or _words(flow, "body"))


def _button(kind: MessageKind, own: Json) -> Content:
    return Content(kind=kind, text=_words(own, "text"), button_id=text(mapping(own).get("payload")))


def _reaction(kind: MessageKind, own: Json) -> Content:
    about = mapping(own)
    return Content(
        kind=kind,
        target_wamid=text(about.get("message_id")),
        reaction=text(about.get("emoji")) or "",
    )


def _edit(kind: MessageKind, own: Json) -> Content:
    # What stands inside an edit is a message of its own, but never another edit.
    inner = {key: part for key, part in mapping(own, "message").items() if key != "edit"}
    new = content(inner)
    target = text(mapping(own).get("original_message_id"))
    return Content(kind=kind, text=new.text, media=new.media, target_wamid=target)


def _revoke(kind: MessageKind, own: Json) -> Content:
    return Content(kind=kind, target_wamid=text(mapping(own).get("original_message_id")))


def _system(kind: MessageKind, own: Json) -> Content:
    return Content(kind=kind, text=_words(own, "body"))


def _words(own: Json, key: str) -> str | None:
    return text(mapping(own).get(key), TEXT_CHARS)


_READERS: Final[Mapping[str, Read]] = {
    "text": _text,
    "image": _file,
    "video": _file,
    "audio": _file,
    "document": _file,
    "sticker": _file,
    "location": _location,
    "contacts": _contacts,
    "order": _order,
    "interactive": _interactive,
    "button": _button,
    "reaction": _reaction,
    "edit": _edit,
    "revoke": _revoke,
    "system": _system,
}
