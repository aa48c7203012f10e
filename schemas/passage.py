"""A passage: what a store of knowledge gives and an agent reads."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.events import Citation


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of the knowledge base, or of what is remembered of a customer.

    Attributes:
        citation: Its id, source, score and hash.
        text: Its words: untrusted data, never instructions.
    """

    citation: Citation
    text: str
