"""A passage: what a store of knowledge gives and an agent reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.events import Citation

SHOWN_CHARS: Final = 1_200
"""Most of a passage's text that a prompt shows."""
NOTED_BYTES: Final = 2_400
"""Most of it that is written down for the prompt, in bytes of JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of the knowledge base, or of what is remembered of a customer.

    Attributes:
        citation: Its id, source, score and hash.
        text: Its words: untrusted data, never instructions.
    """

    citation: Citation
    text: str
