"""What is in a changelog, as figures. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.local.chaos.facts import Stored
from streams.state.controls import CONTROL
from streams.state.records import Head


@dataclass(slots=True)
class Book:
    """Counts the records of one stage's changelog.

    Attributes:
        stage: The stage.
    """

    stage: str
    _records: int = 0
    _bytes: int = 0
    _largest: int = 0
    _keys: set[bytes] = field(default_factory=set)

    def note(self, key: bytes, value: bytes | None) -> None:
        """Count a record; control records are about no conversation, and have no state."""
        self._records += 1
        self._bytes += len(value or b"")
        if key.startswith(CONTROL):
            return
        self._keys.add(key)
        if value is not None:
            self._largest = max(self._largest, Head.of(value).state_bytes)

    def closed(self) -> Stored:
        """Return what was counted."""
        return Stored(
            stage=self.stage,
            records=self._records,
            stored_bytes=self._bytes,
            conversations=len(self._keys),
            largest_bytes=self._largest,
        )
