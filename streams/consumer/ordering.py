"""Records of several partitions as one sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def in_order(fetched: Mapping[Any, Sequence[Any]]) -> list[Any]:
    """Return the records of all partitions by time, without reordering any partition."""
    timed: list[tuple[int, Any]] = []
    for rows in fetched.values():
        newest = 0
        for record in rows:
            newest = max(newest, record.timestamp)
            timed.append((newest, record))
    return [record for _, record in sorted(timed, key=lambda pair: pair[0])]
