"""The embedder that the settings name, closed when it is no longer needed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agents.adapters.sentences import SentenceEmbedder
from agents.ports import Embedder
from streams.settings import Settings


@asynccontextmanager
async def open_embedder(settings: Settings) -> AsyncIterator[Embedder]:
    """Lend the embedder; the encoder on this machine is loaded when it is first used."""
    if settings.embedder == "local":
        sentences = SentenceEmbedder()
        try:
            yield sentences
        finally:
            sentences.close()
        return
    # The provider's library takes longer to load than everything else of a small process.
    from agents.adapters.embedder import OpenAIEmbedder  # noqa: PLC0415 - see above
    from agents.adapters.llm import client  # noqa: PLC0415 - see above

    provider = client(
        settings.openai_base_url,
        settings.openai_api_key.get_secret_value(),
        timeout_s=settings.model_timeout_s,
    )
    try:
        yield OpenAIEmbedder(provider, settings.openai_embedding_model)
    finally:
        await provider.close()
