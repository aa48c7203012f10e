"""Knowledge: a tenant's passages by meaning, and what is known of its customers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from schemas.events import Citation
from schemas.passage import Passage
from sinks.database import queries, reachable
from sinks.passages import chunks
from sinks.vectors import Embed, embedded, written

SQL: Final = queries("knowledge")

MEMORY: Final = "memory"
"""The source of what is remembered of a customer."""

BATCH: Final = 64
"""Texts that are embedded at a time."""


class PostgresKnowledge:
    """The ``agents.ports.Knowledge`` of production, on pgvector."""

    def __init__(self, pool: asyncpg.Pool, embedder: Embed) -> None:
        self.pool = pool
        self.embedder = embedder

    async def search(self, tenant_id: str, question: str, /, *, limit: int) -> tuple[Passage, ...]:
        """Return the passages nearest to the question, best first.

        Raises:
            Unavailable: Postgres or the embedding model is down.
        """
        if not question.strip() or limit < 1:
            return ()
        (vector,) = await embedded(self.embedder, [question])
        with reachable():
            rows = await self.pool.fetch(SQL["search"], tenant_id, written(vector), limit)
        return tuple(_found(row) for row in rows)

    async def recall(
        self, tenant_id: str, customer_id: str, /, *, limit: int
    ) -> tuple[Passage, ...]:
        """Return the newest facts about the customer, then what was asked and answered last.

        Raises:
            Unavailable: Postgres is down.
        """
        with reachable():
            rows = await self.pool.fetch(SQL["recall"], tenant_id, customer_id, limit)
        return tuple(
            Passage(
                citation=Citation(
                    passage_id=row["passage_id"],
                    source=MEMORY,
                    score=1.0,
                    sha256=hashlib.sha256(row["body"].encode()).hexdigest(),
                ),
                text=row["body"],
            )
            for row in rows
        )

    async def add_passages(self, tenant_id: str, source: str, text: str) -> int:
        """Add a document; words that the tenant has already are not added again.

        Args:
            tenant_id: The company.
            source: Name of the document; its earlier passages that it no longer has, and no other
                document has, are removed.
            text: Markdown or plain text.

        Returns:
            How many passages are new.

        Raises:
            Unavailable: Postgres or the embedding model is down.
        """
        pieces = {chunk.sha256: chunk for chunk in chunks(source, text)}
        with reachable():
            known = await self.pool.fetch(SQL["known"], tenant_id, [*pieces])
        new = [piece for sha256, piece in pieces.items() if sha256 not in {r[0] for r in known}]
        rows: list[dict[str, Any]] = []
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            vectors = await embedded(self.embedder, [piece.body for piece in batch])
            rows += [
                {
                    "passage_id": piece.passage_id(tenant_id),
                    "source": piece.source,
                    "ordinal": piece.ordinal,
                    "body": piece.body,
                    "sha256": piece.sha256,
                    "embedding": vector,
                }
                for piece, vector in zip(batch, vectors, strict=True)
            ]
        with reachable():
            async with self.pool.acquire() as connection, connection.transaction():
                for change in ("lacks", "has", "take", "hand_on", "remove_gone"):
                    await connection.execute(SQL[change], tenant_id, source, [*pieces])
                added = await connection.fetch(SQL["add"], tenant_id, rows)
        return len(added)

    async def documents(self, tenant_id: str) -> Sequence[tuple[str, int]]:
        """Return each document's name and number of passages."""
        with reachable():
            rows = await self.pool.fetch(SQL["documents"], tenant_id)
        return [(row["source"], row["passages"]) for row in rows]


def _found(row: Any) -> Passage:
    score = min(1.0, max(0.0, row["score"]))
    citation = Citation(
        passage_id=row["passage_id"], source=row["source"], score=score, sha256=row["sha256"]
    )
    return Passage(citation=citation, text=row["body"])
