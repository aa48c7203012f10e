"""What went wrong on purpose, in order: a run asserts by it that its faults really happened."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Final

from streams.local.simulator.script import Kind

ACTS_MAX: Final = 200_000
"""Acts that are remembered; older ones leave, their number stays."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that went wrong.

    Attributes:
        number: Place in the order, from 1.
        kind: What it was.
        at_ms: When, Unix milliseconds by the simulator's clock.
        ids: Ids of the messages (``wamid``) that it is about.
        detail: More about it: codes and counts, never a text, name or phone number.
    """

    number: int
    kind: Kind
    at_ms: int
    ids: tuple[str, ...]
    detail: dict[str, int | str]


class Journal:
    """Acts in order, and how many of each kind there were."""

    def __init__(self) -> None:
        self.acts: deque[Act] = deque(maxlen=ACTS_MAX)
        self.counts: dict[Kind, int] = {}
        self.total = 0

    def write(self, kind: Kind, at_ms: int, ids: tuple[str, ...], **detail: int | str) -> None:
        """Remember one act."""
        self.total += 1
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.acts.append(Act(self.total, kind, at_ms, ids, detail))

    def select(self, *, kind: str = "", after: int = 0) -> list[dict[str, Any]]:
        """Return acts as plain data: of a kind, after a number."""
        return [asdict(act) for act in self.acts if act.number > after and kind in ("", act.kind)]
