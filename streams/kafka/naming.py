"""Names of consumer groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

APP: Final = "whaticket"


def group_of(stages: Sequence[str]) -> str:
    """Return the consumer group of a worker: one for all stages, or one of its own for each."""
    return f"{APP}.{stages[0]}" if len(stages) == 1 else f"{APP}.pipeline"
