"""Types of files that WhatsApp takes, and how large each may be.

Source: Meta, "WhatsApp Cloud API: Media", section "Supported Media Types" (updated June 16, 2026).
"""

from __future__ import annotations

from typing import Final

MIB: Final = 1024 * 1024
STICKER_MAX: Final = 500 * 1024
"""Largest animated sticker; one that does not move is refused above 100 KB when it is sent."""

TYPES: Final[dict[str, int]] = {
    "audio/aac": 16 * MIB,
    "audio/mp4": 16 * MIB,
    "audio/mpeg": 16 * MIB,
    "audio/amr": 16 * MIB,
    "audio/ogg": 16 * MIB,
    "audio/opus": 16 * MIB,
    "application/vnd.ms-powerpoint": 100 * MIB,
    "application/msword": 100 * MIB,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": 100 * MIB,
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": 100 * MIB,
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": 100 * MIB,
    "application/pdf": 100 * MIB,
    "text/plain": 100 * MIB,
    "application/vnd.ms-excel": 100 * MIB,
    "image/jpeg": 5 * MIB,
    "image/png": 5 * MIB,
    "image/webp": STICKER_MAX,
    "video/mp4": 16 * MIB,
    "video/3gpp": 16 * MIB,
}
"""Most bytes of each type, in the order in which Meta's refusal names them.

Source of the order: github.com/fbsamples/whatsapp-api-examples, issue 10.
"""

LARGEST: Final = max(TYPES.values())


def bare(mime_type: str) -> str:
    """Return a type without its parameters: ``audio/ogg; codecs=opus`` is ``audio/ogg``."""
    return mime_type.partition(";")[0].strip().lower()
