"""Texts to vectors of 512 dimensions: on this machine's CPU, or at a provider."""

from __future__ import annotations

from collections.abc import Sequence

import httpx2
from openai import APIConnectionError, APIStatusError, AsyncOpenAI

from agents.adapters.vectors import DIMENSIONS, TEXT_CHARS, unit
from schemas.errors import Rejected, Unavailable


class OpenAIEmbedder:
    """An embedding model of an OpenAI-compatible provider.

    Args:
        api: The client; see ``agents.adapters.llm.client``.
        model: Name of the model; it must be able to give 512 dimensions.
    """

    def __init__(self, api: AsyncOpenAI, model: str) -> None:
        self._api = api
        self._model = model

    async def embed(self, texts: Sequence[str], /) -> list[list[float]]:
        """Return one unit vector for each text.

        Raises:
            Unavailable: The provider is down or asks us to wait.
            Rejected: It refuses, or gives vectors of another size.
        """
        if not texts:
            return []
        try:
            answer = await self._api.embeddings.create(
                model=self._model,
                input=[text[:TEXT_CHARS] for text in texts],
                dimensions=DIMENSIONS,
                encoding_format="float",
            )
        except APIStatusError as exc:
            if exc.status_code == 429 or exc.status_code >= 500:  # noqa: PLR2004 - HTTP's
                raise Unavailable("model") from None
            raise Rejected("embedding_refused") from None
        except (APIConnectionError, httpx2.HTTPError):
            raise Unavailable("model") from None
        vectors = [row.embedding for row in sorted(answer.data, key=lambda row: row.index)]
        if len(vectors) != len(texts) or any(len(vector) != DIMENSIONS for vector in vectors):
            raise Rejected("embedding_shape")
        return [unit(vector) for vector in vectors]
