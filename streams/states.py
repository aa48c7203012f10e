"""States of a stage between bytes and objects; those of busy conversations stay objects.

A conversation that is busy has its next event soon. Reading 4 KB of JSON again costs as much as
all of the bookkeeping of an event, so the newest states are remembered beside their bytes. What
is remembered is used only while the table still has exactly these bytes: what was never stored,
or was stored by somebody else since, is read anew.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from streams.records import Kept

REMEMBERED_BYTES: Final = 4 << 20
"""Most JSON of states that are remembered; as objects they take some four times of it."""


class States:
    """The states of one stage.

    Args:
        kind: Class of its state.
        most: Most JSON whose states are remembered, in bytes.
    """

    def __init__(self, kind: type[Any], most: int = REMEMBERED_BYTES) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._recent: dict[bytes | None, tuple[bytes, Any]] = {}
        self._most = most
        self._bytes = 0

    def of(self, key: bytes | None, kept: Kept | None) -> Any:
        """Return the state that a conversation's table value holds, or None.

        Raises:
            ValueError: It cannot be read.
        """
        if kept is None or not kept.state:
            return None
        known = self._recent.get(key)
        if known is not None and known[0] == kept.state:
            return known[1]
        return self._decoder.decode(kept.state)

    def remember(self, key: bytes | None, raw: bytes, state: Any) -> None:
        """Remember a state beside its JSON; the oldest ones are forgotten."""
        recent = self._recent
        known = recent.pop(key, None)
        self._bytes += len(raw) - (len(known[0]) if known else 0)
        recent[key] = (raw, state)
        while self._bytes > self._most:
            oldest, _ = recent.pop(next(iter(recent)))
            self._bytes -= len(oldest)
