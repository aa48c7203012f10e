"""Parking: a conversation whose event failed for good is set aside, in order, until it is right.

Rule 1: while a conversation is parked, nothing of it is decided but what comes back in its turn.
Rule 2: what is set aside is numbered from 1; it comes back in that order, and each number is
decided once: whatever else comes back is stale.
Rule 3: parking ends with the decision of the last number. That event is its own unpark marker,
in the same write: nothing can come between the two, and nothing overtakes what was set aside.

Pure: the flag is part of a table value's head, so that it works for a state that cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import msgspec

from schemas.events import Position

PREFIX: Final = "dlq."
PARKING: Final = PREFIX + "parking"
SEQUENCE: Final = PREFIX + "sequence"
EPOCH: Final = PREFIX + "epoch"
DROP: Final = PREFIX + "drop"
STAGE: Final = PREFIX + "stage"

DIGITS: Final = 18
"""Longest number that is believed: nobody sets so much aside."""

Headers = Iterable[tuple[str, bytes | None]]


class Parking(msgspec.Struct, array_like=True, frozen=True):
    """The flag of a parked conversation.

    Attributes:
        parking_id: Topic, partition and offset of the event that parked it.
        reason: Why that event was given up, as a short code.
        since_ms: When, Unix milliseconds.
        last: Newest number that was given out; the event that parked it has number 1.
        next: Number that is decided next.
        failures: How often an event of it was given up: 1, and each one that failed again.
    """

    parking_id: str
    reason: str
    since_ms: int
    last: int = 1
    next: int = 1
    failures: int = 1

    @classmethod
    def begun(cls, source: Position, reason: str, now_ms: int) -> Parking:
        """Return the flag after the first event."""
        return cls(f"{source.topic}/{source.partition}/{source.offset}", reason, now_ms)

    def behind(self) -> Parking:
        """Return the flag after one more event was set aside; its number is the last."""
        return msgspec.structs.replace(self, last=self.last + 1)

    def advanced(self) -> Parking | None:
        """Return the flag after the next number was decided; None is the end of the parking."""
        if self.next == self.last:
            return None
        return msgspec.structs.replace(self, next=self.next + 1)

    def failed_again(self, reason: str) -> Parking:
        """Return the flag after the next number was given up once more."""
        return msgspec.structs.replace(self, reason=reason, failures=self.failures + 1)


@dataclass(frozen=True, slots=True)
class Returned:
    """What a record that comes back from the dead letters says of itself.

    Attributes:
        parking_id: The parking that it was set aside in.
        number: Its number there.
        dropped: True when an operator gave it up for good.
    """

    parking_id: str
    number: int
    dropped: bool = False

    @classmethod
    def of(cls, headers: Headers) -> Returned | None:
        """Read it from a record's headers; None for a record that was never set aside."""
        found = dict(headers)
        if PARKING not in found:
            return None
        parking_id = (found[PARKING] or b"").decode(errors="replace")  # foreign ones may be null
        sequence = found.get(SEQUENCE) or b""
        number = int(sequence) if sequence.isdigit() and len(sequence) <= DIGITS else 0
        return cls(parking_id, number, DROP in found) if parking_id and number else None


def for_another(headers: Headers, stage: str) -> bool:
    """Tell whether a record comes back for another reader of its topic, who had given it up.

    The stage had it when it came first. Whether it would still know that is a matter of days.
    """
    said = next((value for name, value in headers if name == STAGE), None)
    return bool(said) and said != stage.encode()


class Arm(Enum):
    """What is to be done with a record."""

    DECIDE = auto()  #: The conversation is not parked.
    BEHIND = auto()  #: It is, and the record is new: it is set aside.
    RETURN = auto()  #: It is this record's turn to be decided.
    DROP = auto()  #: It is its turn, but it was given up for good.
    STALE = auto()  #: It came back, but it is not its turn, or not any more, or for another.


def arm_at(stage: str, parking: Parking | None, headers: Headers) -> Arm:
    """Return what a stage does with a record, by its headers."""
    if for_another(headers, stage):
        return Arm.STALE
    return arm_of(parking, Returned.of(headers))


def arm_of(parking: Parking | None, returned: Returned | None) -> Arm:
    """Say what is to be done with a record of a conversation."""
    if returned is None:
        return Arm.DECIDE if parking is None else Arm.BEHIND
    if parking is None or (returned.parking_id, returned.number) != (
        parking.parking_id,
        parking.next,
    ):
        return Arm.STALE
    return Arm.DROP if returned.dropped else Arm.RETURN
