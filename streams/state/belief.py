"""What a changelog says of a conversation, for commands that only read it: as recovery reads it."""

from __future__ import annotations

from typing import TypeVar

from streams.state.records import Head

K = TypeVar("K")


def believe(heads: dict[K, Head], of: K, raw: bytes | None) -> None:
    """Note a value of a changelog as recovery does (``streams.state.table``).

    A higher epoch wins, then the order of the log; but a record that a value left, which came
    late, never hides one of its owner that has applied more.

    Args:
        heads: What is believed so far.
        of: Whose value it is.
        raw: The value; None is a tombstone.

    Raises:
        Unreadable: The bytes are no value of a table.
    """
    if raw is None:
        heads.pop(of, None)
        return
    head, known = Head.of(raw), heads.get(of)
    if known is None or _follows(head, known):
        heads[of] = head


def _follows(head: Head, known: Head) -> bool:
    """Tell whether a value may replace what is known."""
    if head.away is None or known.away is not None or head.epoch != known.epoch:
        return head.epoch >= known.epoch
    return all(head.covers(topic, offset) for topic, offset in known.applied.items())
