"""What the simulator accepted, in order of arrival, and what was marked as read; bounded.

Repetitions are counted.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import asdict, dataclass
from typing import Any, Final

BOOK_MAX: Final = 200_000
"""Messages that are remembered; older ones leave."""

CALLBACK_VERSION: Final = "v1"
CALLBACK_PARTS: Final = 6


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted message.

    Attributes:
        number: Place in the order of arrival, from 1.
        phone_number_id: The business number that sent it.
        to: Digits of the recipient's phone number, or the recipient's user id.
        wamid: Id that it was given.
        type: Type of the message.
        text: Its text; empty for other types.
        callback_data: ``biz_opaque_callback_data`` as it came.
        bubble_id: Our id of the message, from the callback data; empty when there is none.
        attempt: Our number of the attempt, from the callback data; 0 when there is none.
        at_ms: When it was accepted, Unix milliseconds.
    """

    number: int
    phone_number_id: str
    to: str
    wamid: str
    type: str
    text: str
    callback_data: str
    bubble_id: str
    attempt: int
    at_ms: int


def bubble_of(callback_data: str) -> tuple[str, int]:
    """Return bubble id and attempt of our callback data, or nothing of somebody else's.

    The form is ``v1|tenant|conversation|customer|bubble|attempt``.
    """
    parts = callback_data.split("|")
    if len(parts) != CALLBACK_PARTS or parts[0] != CALLBACK_VERSION or not parts[5].isdigit():
        return "", 0
    return parts[4], int(parts[5])


class Book:
    """Accepted messages and how often each bubble came."""

    def __init__(self, limit: int = BOOK_MAX) -> None:
        self.limit = limit
        self.total = 0
        self.entries: deque[Entry] = deque(maxlen=limit)
        self.times: OrderedDict[str, int] = OrderedDict()
        self.reads: OrderedDict[str, int] = OrderedDict()

    def mark(self, message_id: str) -> None:
        """Remember that a customer's message was marked as read, once more."""
        self.reads[message_id] = self.reads.get(message_id, 0) + 1
        if len(self.reads) > self.limit:
            self.reads.popitem(last=False)

    def write(self, entry: Entry) -> None:
        """Remember one message."""
        self.total += 1
        self.entries.append(entry)
        if not entry.bubble_id:
            return
        self.times[entry.bubble_id] = self.times.get(entry.bubble_id, 0) + 1
        if len(self.times) > self.limit:
            self.times.popitem(last=False)

    def duplicates(self) -> dict[str, int]:
        """Return how often each bubble came too often."""
        return {bubble: times - 1 for bubble, times in self.times.items() if times > 1}

    def select(self, *, phone_number_id: str = "", to: str = "", after: int = 0) -> list[Entry]:
        """Return the messages of a business number, to a recipient, after a number."""
        return [
            entry
            for entry in self.entries
            if entry.number > after
            and phone_number_id in ("", entry.phone_number_id)
            and to in ("", entry.to)
        ]

    def clear(self) -> None:
        """Forget all of them; numbers go on."""
        self.entries.clear()
        self.times.clear()
        self.reads.clear()


def as_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as plain data."""
    return asdict(entry)
