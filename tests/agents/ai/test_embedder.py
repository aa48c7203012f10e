from __future__ import annotations

import math

import pytest

from agents.adapters.embedder import DIMENSIONS, SentenceEmbedder, unit


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


async def test_no_texts_need_no_encoder() -> None:
    assert await SentenceEmbedder().embed([]) == []


def _dot(one: list[float], other: list[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))
