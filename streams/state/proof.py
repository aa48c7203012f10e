"""The record that proves a log: one that changes only at its end is the same up to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.errors import Misconfigured
from streams.state.records import checksum_of


class OtherLog(Misconfigured):
    """A log is not the one that was read before; to start again changes nothing."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a log must hold to be the one that was read.

    Attributes:
        offset: The last offset that was read to its end.
        mark: Checksum of the record there.
    """

    offset: int
    mark: int

    def fails(self, message: Any) -> bool:
        """Tell whether the log has another record there; one that was deleted proves nothing."""
        return message.offset == self.offset and checksum_of(message.value) != self.mark
