"""Ids that follow from their cause, so that a repetition has the same id."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from typing import Final

NAMESPACE: Final = uuid.UUID("6f1d1c9e-3f0b-5c0a-9a7e-2b5f0c8d4e11")
"""Namespace of our uuid5 ids; never changes."""
PUSHED: Final = "ext:"
"""How the id of a message begins that another system has pushed: WhatsApp does not know it."""
_BEGUN: Final = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)
"""Copied for each id: to begin anew asks OpenSSL for the algorithm each time."""


def derived(*parts: object) -> str:
    """Return the UUID that follows from these parts; equal parts give equal ids."""
    digits = _uuid5("\x1f".join(map(str, parts)))
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def trace(*parts: object) -> str:
    """Return a W3C trace id (32 hex digits) that follows from these parts."""
    return _uuid5("\x1f".join(("trace", *map(str, parts))))


def _uuid5(name: str) -> str:
    """Return the digits of ``uuid.uuid5``, which takes three times as long for every record.

    Source: RFC 9562, section 5.5: the first 16 bytes of the SHA-1 of namespace and name, with
    the version in the upper half of byte 6 and the variant in the two upper bits of byte 8.
    """
    hashing = _BEGUN.copy()
    hashing.update(name.encode())
    digest = bytearray(hashing.digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return digest.hex()


def traceparent(trace_id: str, event_id: str) -> str:
    """Return the W3C ``traceparent`` header of a record; the span id is its event id's."""
    return f"00-{trace_id}-{event_id.replace('-', '')[:16]}-01"


def keyed(prefix: str, secret: bytes, *parts: str) -> str:
    """Return ``<prefix>_`` and 32 hex digits that only the holder of the secret can compute."""
    digest = hmac.new(secret, "\x1f".join(parts).encode(), hashlib.sha256)
    return f"{prefix}_{digest.hexdigest()[:32]}"


def is_pushed(wamid: str) -> bool:
    """Tell whether another system has pushed the message of this id."""
    return wamid.startswith(PUSHED)
