"""Vectors of 512 dimensions, and who makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from schemas.errors import Misconfigured

DIMENSIONS: Final = 512


class Embed(Protocol):
    """Turns texts into vectors; ``agents.ports.Embedder`` by shape."""

    async def embed(self, texts: Sequence[str], /) -> list[list[float]]:
        """Return one unit vector for each text."""


async def embedded(embedder: Embed, texts: Sequence[str]) -> list[list[float]]:
    """Return the vectors of some texts, of the size that the tables have.

    Raises:
        Misconfigured: The model's vectors have another number of dimensions.
        Unavailable: The model is down.
    """
    if not texts:
        return []
    vectors = await embedder.embed(texts)
    for vector in vectors:
        if len(vector) != DIMENSIONS:
            raise Misconfigured(
                f"the embedding model gives {len(vector)} dimensions, not {DIMENSIONS}"
            )
    return vectors


def written(vector: Sequence[float]) -> str:
    """Return a vector as pgvector reads it.

    As an array it would be looked through by asyncpg, number by number, for arrays inside it: that
    took as long as everything else of a search.
    """
    return msgspec.json.encode(vector).decode()
