"""The files that customers sent and that businesses uploaded; bounded, oldest first to leave."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

DAY_MS: Final = 86_400_000
UPLOADED_MS: Final = 30 * DAY_MS
RECEIVED_MS: Final = 7 * DAY_MS
URL_S: Final = 300
"""How long an address can be downloaded from.

Source of the three: Meta, "WhatsApp Cloud API: Media" (updated June 16, 2026).
"""

SHELF_MAX_BYTES: Final = 256 * 1024 * 1024
"""Bytes that are kept; of more, the oldest files leave."""

ID_BASE: Final = 10**15
"""Ids have 16 digits, as most of Meta's have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file.

    Attributes:
        media_id: Its id, digits.
        owner: The business number that uploaded it; empty when a customer sent it.
        mime_type: Its type, with parameters.
        content: Its bytes.
        digest: SHA-256 of the bytes.
        expires_at_ms: When the id ends, Unix milliseconds.
    """

    media_id: str
    owner: str
    mime_type: str
    content: bytes
    digest: bytes
    expires_at_ms: int


class Shelf:
    """Files by their id.

    Args:
        seed: Ids follow from it, and signatures of addresses.
        limit: Most bytes that are kept.
    """

    def __init__(self, seed: int, limit: int = SHELF_MAX_BYTES) -> None:
        self.seed = seed
        self.limit = limit
        self.given = 0
        self.kept_bytes = 0
        self.files: OrderedDict[str, File] = OrderedDict()

    def put(self, content: bytes, mime_type: str, *, now_ms: int, owner: str = "") -> File:
        """Keep a file; one without an owner came from a customer."""
        self.given += 1
        file = File(
            media_id=self._media_id(self.given),
            owner=owner,
            mime_type=mime_type,
            content=content,
            digest=hashlib.sha256(content).digest(),
            expires_at_ms=now_ms + (UPLOADED_MS if owner else RECEIVED_MS),
        )
        self.files[file.media_id] = file
        self.kept_bytes += len(content)
        while self.kept_bytes > self.limit and len(self.files) > 1:
            self.remove(next(iter(self.files)))
        return file

    def find(self, media_id: str, *, now_ms: int) -> File | None:
        """Return a file unless it is unknown, deleted or too old."""
        file = self.files.get(media_id)
        if file is None or file.expires_at_ms > now_ms:
            return file
        self.remove(media_id)
        return None

    def remove(self, media_id: str) -> None:
        """Forget a file, if it is there."""
        if file := self.files.pop(media_id, None):
            self.kept_bytes -= len(file.content)

    def query(self, media_id: str, *, now_ms: int) -> dict[str, str]:
        """Return the query of an address that can be downloaded from for five minutes."""
        until_s = str(now_ms // 1000 + URL_S)
        return {"mid": media_id, "ext": until_s, "hash": self._signature(media_id, until_s)}

    def at(self, query: dict[str, str], *, now_ms: int) -> File | None:
        """Return the file of an address; None when it was changed, is too old, or has no file."""
        media_id, until_s, signature = (query.get(name, "") for name in ("mid", "ext", "hash"))
        good = self._signature(media_id, until_s)
        if not hmac.compare_digest(good.encode(), signature.encode()):
            return None
        return self.find(media_id, now_ms=now_ms) if now_ms < int(until_s) * 1000 else None

    def _media_id(self, counter: int) -> str:
        digest = hashlib.blake2b(f"simulator:{self.seed}:media:{counter}".encode(), digest_size=8)
        return str(ID_BASE + int.from_bytes(digest.digest()) % (9 * ID_BASE))

    def _signature(self, media_id: str, until_s: str) -> str:
        named = f"simulator:{self.seed}:url:{media_id}:{until_s}"
        return hashlib.blake2b(named.encode(), digest_size=16).hexdigest()
