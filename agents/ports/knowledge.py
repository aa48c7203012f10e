"""The knowledge base and what is remembered of customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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


class Knowledge(Protocol):
    """The passages and memories of a tenant."""

    async def search(self, tenant_id: str, question: str, /, *, limit: int) -> tuple[Passage, ...]:
        """Return the passages nearest to the question, best first."""

    async def recall(
        self, tenant_id: str, customer_id: str, /, *, limit: int
    ) -> tuple[Passage, ...]:
        """Return the newest facts about the customer; source is ``memory``."""
