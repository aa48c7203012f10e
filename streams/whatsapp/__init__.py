"""WhatsApp's webhook bodies, read into drafts of events; pure, and total over any JSON."""

from __future__ import annotations

from streams.whatsapp.body import MAX_DEPTH, MAX_PARTS, Unreadable, parse
from streams.whatsapp.parts import Echo, Message, Other, Part, Status
from streams.whatsapp.people import identifiers

__all__ = [
    "MAX_DEPTH",
    "MAX_PARTS",
    "Echo",
    "Message",
    "Other",
    "Part",
    "Status",
    "Unreadable",
    "identifiers",
    "parse",
]
