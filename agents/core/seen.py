"""Natural ids that were acted on, packed into day buckets: what makes a repetition harmless.

An id is kept as 12 characters: 72 bits of its BLAKE2b hash in base64. Nine bytes fill
base64's groups of three exactly, so a bucket is searched as text, without decoding it.
With 10,000 ids in a conversation, a wrong hit has a chance of 2e-18 for each message.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

DAY_MS: Final = 86_400_000

KEPT_DAYS: Final = 8
"""WhatsApp tries a delivery again for up to 7 days; one more for the edges of the day.

Source: WhatsApp Cloud API, "Webhooks", "Retry" (7 days).
"""

WIDTH: Final = 12
LIMIT: Final = 8192
"""Most ids of one conversation (98 KB); beyond it the oldest bucket is shortened first."""
ROOM: Final = 1024
"""Ids that stay in a conversation's state (12 KB); with more, the oldest are kept elsewhere."""
LEAVING: Final = 256
"""How many leave at once: one statement for many messages."""

Buckets = Mapping[str, str]
"""Day number since 1970 (as text, for JSON) -> packed ids of that day, oldest first."""


def packed(natural_id: str) -> str:
    """Return the 12 characters that stand for an id."""
    return urlsafe_b64encode(blake2b(natural_id.encode(), digest_size=9).digest()).decode()


def knows(buckets: Buckets, natural_id: str) -> bool:
    """Say whether the id was remembered."""
    needle = packed(natural_id)
    return any(_holds(ids, needle) for ids in buckets.values())


def leaving(buckets: Buckets) -> dict[str, str]:
    """Return the oldest ids when there are too many: what must be kept elsewhere, then leave."""
    if sum(map(len, buckets.values())) < ROOM * WIDTH:
        return {}
    left, room = {}, LEAVING * WIDTH
    for day in sorted(buckets, key=int):
        ids = buckets[day][:room]
        if ids:
            left[day] = ids
        room -= len(ids)
    return left


def without(buckets: Buckets, left: Buckets) -> dict[str, str]:
    """Return the buckets without ids that left, which are the first of their days."""
    rest = {day: ids[len(left.get(day, "")) :] for day, ids in buckets.items()}
    return {day: ids for day, ids in rest.items() if ids}


def recent(day: int, now_ms: int) -> bool:
    """Say whether ids of that day may still come again."""
    return day > now_ms // DAY_MS - KEPT_DAYS


def _holds(ids: str, needle: str) -> bool:
    at = ids.find(needle)
    while at >= 0 and at % WIDTH:  # a hit that straddles two ids is none
        at = ids.find(needle, at + 1)
    return at >= 0


def remember(
    buckets: Buckets, natural_id: str, *, now_ms: int, limit: int = LIMIT
) -> dict[str, str]:
    """Return the buckets with the id, without days that are too old and within the limit."""
    today = now_ms // DAY_MS
    kept = {day: ids for day, ids in buckets.items() if int(day) > today - KEPT_DAYS}
    kept[str(today)] = kept.get(str(today), "") + packed(natural_id)
    excess = sum(map(len, kept.values())) - limit * WIDTH
    while excess > 0:
        oldest = min(kept, key=int)
        ids = kept.pop(oldest)
        if len(ids) > excess:
            kept[oldest] = ids[excess:]
        excess -= len(ids)
    return dict(sorted(kept.items(), key=lambda item: int(item[0])))
