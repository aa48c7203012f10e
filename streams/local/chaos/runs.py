"""Which runs a whole series has: every fault with several seeds, and some at once. Pure."""

from __future__ import annotations

from typing import Final

from streams.local.chaos.catalogue import FAULTS
from streams.local.chaos.course import Run

SEEDS: Final = 3
MIXED: Final = (
    ("F1", "F3"),
    ("F1w", "F7"),
    ("F2", "F8", "F9"),
    ("F1", "F9", "F11"),
    ("F7", "F8", "F10"),
    ("F1w", "F5"),
    ("F1", "W1"),
    ("F1", "W2"),
)
"""Faults that happen in one run."""

LAYOUTS: Final = ("all-in-one", "all-in-one", "split")
"""A third of the runs use the split layout."""


def all_runs(seed: int) -> list[Run]:
    """Return every fault and every mixture with three seeds, the first of them given."""
    groups = [*((name,) for name in FAULTS), *MIXED]
    return [
        _run(seed + number, faults, LAYOUTS[number % len(LAYOUTS)])
        for faults in groups
        for number in range(SEEDS)
    ]


def short_runs(seed: int) -> list[Run]:
    """Return the runs of CI: a few minutes, on two stacks."""
    chosen = (("F1w",), ("F1", "F7", "F8"), ("F9", "F11"))
    return [_run(seed, faults, "all-in-one", messages=500) for faults in chosen]


def _run(seed: int, faults: tuple[str, ...], layout: str, *, messages: int = 1200) -> Run:
    return Run(
        seed=seed,
        faults=faults,
        layout=layout,
        conversations=messages // 8,
        messages=messages,
        rate=30.0,
    )
