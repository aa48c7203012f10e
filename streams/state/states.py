"""Table values between bytes and objects; those of busy conversations stay objects.

A conversation that is busy has its next event soon. Reading its bookkeeping and 4 KB of JSON
again costs as much as all else that an event needs, so the newest values are remembered as
objects. What is remembered is used only while the table has the very bytes that were written
with it: what was never stored, or was stored by somebody else since, is read anew.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from streams.state.records import Kept

REMEMBERED_BYTES: Final = 4 << 20
"""Most bytes of values that are remembered; as objects they take some four times of it."""


class States:
    """The newest values of one stage.

    Args:
        kind: Class of its state.
        most: Most bytes of values that are remembered.
    """

    def __init__(self, kind: type[Any], most: int = REMEMBERED_BYTES) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._recent: dict[bytes | None, tuple[Kept, Any]] = {}
        self._most = most
        self._bytes = 0

    def kept(self, key: bytes | None, raw: bytes) -> Kept:
        """Return a conversation's table value as it is read.

        Raises:
            Unreadable: It is none.
        """
        known = self._recent.get(key)
        return known[0] if known is not None and known[0].raw is raw else Kept.of(raw)

    def of(self, key: bytes | None, kept: Kept | None) -> Any:
        """Return the state that a conversation's table value holds, or None.

        Raises:
            ValueError: It cannot be read.
        """
        if kept is None or not kept.head.state_bytes:
            return None
        known = self._recent.get(key)
        return known[1] if known is not None and known[0] is kept else self.read(kept)

    def read(self, kept: Kept) -> Any:
        """Return the state that a table value holds, read anew.

        Raises:
            ValueError: It cannot be read.
        """
        return self._decoder.decode(kept.state)

    def remember(self, key: bytes | None, kept: Kept, state: Any) -> None:
        """Remember a value that was stored, and its state if known; the oldest are forgotten."""
        if state is None:
            return
        recent = self._recent
        known = recent.pop(key, None)
        self._bytes += len(kept.raw) - (len(known[0].raw) if known else 0)
        recent[key] = (kept, state)
        while self._bytes > self._most:
            oldest, _ = recent.pop(next(iter(recent)))
            self._bytes -= len(oldest.raw)
