"""Promise I6: a committed offset never passes an event that is not finished.

For each partition: what was delivered, and what of it is still unfinished. The only offset
that may be committed is the lowest unfinished one, or the next one when all is finished.
"""

from __future__ import annotations

from typing import Protocol


class Delivered(Protocol):
    """A message of the consumer; told apart by identity, not by offset."""

    @property
    def offset(self) -> int:
        """Its offset."""


class Ledger:
    """Deliveries of one partition since it was assigned.

    Attributes:
        start: First offset that was delivered.
        next: First offset that was not delivered yet.
        live: Unfinished deliveries in the order of the log.
    """

    __slots__ = ("live", "next", "start")

    def __init__(self, start: int) -> None:
        self.live: dict[int, Delivered] = {}
        self.start = self.next = start

    def deliver(self, message: Delivered) -> None:
        """Note a delivery; offsets arrive in order, so dict order is offset order."""
        self.live[message.offset] = message
        self.next = message.offset + 1

    def finish(self, message: Delivered) -> bool:
        """Settle one delivery; a message object of an older delivery is ignored."""
        if self.live.get(message.offset) is not message:
            return False
        del self.live[message.offset]
        return True

    def withdraw(self, message: Delivered) -> None:
        """Undo the newest delivery: it will be delivered again."""
        if self.finish(message):
            self.next = message.offset

    def jump(self, before: int, offset: int) -> None:
        """Note that the log holds nothing between two offsets, if all before it was delivered."""
        if self.next == before:
            self.next = max(offset, before)

    def finished(self, offset: int) -> bool:
        """Tell whether this offset was delivered here and is no longer live."""
        return self.start <= offset < self.next and offset not in self.live

    def safe(self) -> int:
        """Return the offset that may be committed."""
        return next(iter(self.live), self.next)
