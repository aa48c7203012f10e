"""What every embedder agrees on: the size of a vector, and its length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

DIMENSIONS: Final = 512
TEXT_CHARS: Final = 8_000
"""Longer texts are cut: the encoder reads about as much."""


def unit(vector: Sequence[float]) -> list[float]:
    """Return the vector with length 1; a text without a meaning gets a fixed direction."""
    length = math.sqrt(math.fsum(part * part for part in vector))
    if not math.isfinite(length) or length == 0.0:
        return [1.0, *([0.0] * (len(vector) - 1))]
    return [part / length for part in vector]
