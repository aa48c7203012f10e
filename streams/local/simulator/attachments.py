"""What a simulated customer attaches: his own file, or one that is made for him."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

from streams.local.simulator.filetypes import LARGEST
from streams.local.simulator.refusals import Refusal, invalid
from streams.local.simulator.samples import SAMPLES
from streams.local.simulator.shelf import Shelf

KINDS: Final = ("audio", "document", "image", "sticker", "video")
MIME_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+(; ?[ -~]+)?", re.ASCII)
PASSED_ON: Final = ("caption", "filename", "voice", "animated")
"""Keys of the request that stand in the message as they came."""


def unattachable(media: object) -> Refusal | None:
    """Say what a request to attach a file lacks."""
    if not isinstance(media, dict) or media.get("type") not in KINDS:
        return invalid("media['type']", f"must be one of {{{', '.join(KINDS)}}}.")
    content = media.get("content")
    if content is None:
        made = media["type"] in SAMPLES and media.get("mime_type") is None
        return None if made else invalid("media['content']", "is required for this type.")
    if not MIME_TYPE.fullmatch(str(media.get("mime_type"))):
        return invalid("media['mime_type']", "must be a type such as image/jpeg.")
    if _decoded(content) is None:
        return invalid("media['content']", f"must be Base64 of at most {LARGEST} bytes.")
    return None


def attached(media: dict[str, Any], shelf: Shelf, *, now_ms: int) -> dict[str, Any]:
    """Put the file on the shelf and return the message that brings it."""
    kind = media["type"]
    content = _decoded(media.get("content"))
    mime_type = media.get("mime_type") or ""
    if content is None:
        mime_type, make = SAMPLES[kind]
        content = make(shelf.seed * 1000 + shelf.given)
    file = shelf.put(content, mime_type, now_ms=now_ms)
    own: dict[str, Any] = {
        "mime_type": file.mime_type,
        "sha256": base64.b64encode(file.digest).decode(),
        "id": file.media_id,
        **{key: media[key] for key in PASSED_ON if key in media},
    }
    if kind == "audio":
        own.setdefault("voice", True)
    return {"type": kind, kind: own}


def _decoded(content: object) -> bytes | None:
    if not isinstance(content, str):
        return None
    try:
        decoded = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if len(decoded) <= LARGEST else None
