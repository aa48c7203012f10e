"""The knowledge base and what is remembered of customers."""

from __future__ import annotations

from typing import Protocol

from schemas.passage import Passage

__all__ = ["Knowledge", "Passage"]


class Knowledge(Protocol):
    """The passages and memories of a tenant."""

    async def search(self, tenant_id: str, question: str, /, *, limit: int) -> tuple[Passage, ...]:
        """Return the passages nearest to the question, best first."""

    async def recall(
        self, tenant_id: str, customer_id: str, /, *, limit: int
    ) -> tuple[Passage, ...]:
        """Return the newest facts about the customer; source is ``memory``."""
