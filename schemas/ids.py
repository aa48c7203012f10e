"""Ids that follow from their cause, so that a repetition has the same id."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from typing import Final

NAMESPACE: Final = uuid.UUID("6f1d1c9e-3f0b-5c0a-9a7e-2b5f0c8d4e11")
"""Namespace of our uuid5 ids; never changes."""


def derived(*parts: object) -> str:
    """Return the UUID that follows from these parts; equal parts give equal ids."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(map(str, parts))))


def trace(*parts: object) -> str:
    """Return a W3C trace id (32 hex digits) that follows from these parts."""
    return uuid.uuid5(NAMESPACE, "\x1f".join(("trace", *map(str, parts)))).hex


def traceparent(trace_id: str, event_id: str) -> str:
    """Return the W3C ``traceparent`` header of a record; the span id is its event id's."""
    return f"00-{trace_id}-{event_id.replace('-', '')[:16]}-01"


def keyed(prefix: str, secret: bytes, *parts: str) -> str:
    """Return ``<prefix>_`` and 32 hex digits that only the holder of the secret can compute."""
    digest = hmac.new(secret, "\x1f".join(parts).encode(), hashlib.sha256)
    return f"{prefix}_{digest.hexdigest()[:32]}"
