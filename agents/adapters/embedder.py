"""Texts to vectors of 512 dimensions: on this machine's CPU, or at a provider."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from openai import APIStatusError, AsyncOpenAI

from agents.adapters.llm import REASONS
from agents.adapters.provider import later, translated
from agents.adapters.vectors import DIMENSIONS, unit
from schemas.errors import Refusing, Rejected, Unavailable

LIMIT_S: Final = 30.0
"""Most seconds for one answer; the client's own limit is one for each read."""
TEXT_BYTES: Final = 8_000
"""A token is at least one byte, and a text of more than 8,192 is refused: 4,096 emoji have more.
Source: OpenAI, API reference, "Create embeddings", ``input``."""
CHECK: Final = "check OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_EMBEDDING_MODEL"


class OpenAIEmbedder:
    """An embedding model of an OpenAI-compatible provider.

    Args:
        api: The client; see ``agents.adapters.llm.client``.
        model: Name of the model; it must be able to give 512 dimensions.
        limit_s: Most seconds for one answer.
    """

    def __init__(self, api: AsyncOpenAI, model: str, *, limit_s: float = LIMIT_S) -> None:
        self._api = api
        self._limit_s = limit_s
        self._model = model

    async def embed(self, texts: Sequence[str], /) -> list[list[float]]:
        """Return one unit vector for each text.

        Raises:
            Unavailable: The provider is down, slow, sent what is no answer, or asks us to wait.
            Refusing: It does not let us in, has no such model, or gives vectors of another size.
            Rejected: It refuses these texts.
        """
        if not texts:
            return []
        with _translated():
            async with asyncio.timeout(self._limit_s):
                answer = await self._api.embeddings.create(
                    model=self._model,
                    input=[_bounded(text) for text in texts],
                    dimensions=DIMENSIONS,
                    encoding_format="float",
                )
            vectors = _vectors(answer)
        if any(len(vector) != DIMENSIONS for vector in vectors):
            raise Refusing(
                "model", f"the embedding model gives no {DIMENSIONS} dimensions: {CHECK}"
            )
        if len(vectors) != len(texts):
            raise Unavailable("model")
        return vectors


def _bounded(text: str) -> str:
    return text.encode("utf-8", "replace")[:TEXT_BYTES].decode("utf-8", "ignore")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what the client raises into our errors; their texts may hold what we sent.

    Only what is said of these texts is their fault: a record is given up for nothing else.
    """
    with translated(_refusal):
        try:
            yield
        except (ValueError, TypeError, AttributeError):
            # What a proxy in between says in place of the model; the client checks no shapes.
            raise Unavailable("model") from None


def _refusal(exc: APIStatusError) -> Unavailable | Rejected:
    status = exc.status_code
    if (unavailable := later(exc)) is not None:
        return unavailable
    if REASONS.get(status) in ("unauthorized", "not_found"):
        return Refusing("model", f"the embedding model refuses us ({status}): {CHECK}")
    return Rejected("embedding_refused")


def _vectors(answer: Any) -> list[list[float]]:
    rows = sorted(answer.data, key=lambda row: row.index)
    return [unit(row.embedding) for row in rows]
