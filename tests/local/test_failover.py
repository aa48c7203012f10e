from __future__ import annotations

import math

import pytest

from streams.local.bench.failover import Failover, resumed_s

KILLED = 1_000


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([(0, 3_000), (1, 5_000)], 4.0, id="the slowest partition counts"),
        pytest.param([(0, 3_000), (0, 9_000), (1, 2_000)], 2.0, id="the first answer of each"),
        pytest.param([(0, 999), (0, 3_500), (1, 1_500)], 2.5, id="not one before the end"),
        pytest.param([(0, 2_000), (1, 2_000), (2, 60_000)], 1.0, id="not those of others"),
        pytest.param([(0, 2_000)], math.inf, id="never on one of them"),
    ],
)
def test_answers_come_again_once_each_lost_partition_has_one(
    answers: list[tuple[int, int]], expected: float
) -> None:
    assert resumed_s(KILLED, answers, {0, 1}) == expected


@pytest.mark.parametrize(
    ("answered", "twice", "good"), [(9, 0, False), (10, 0, True), (10, 1, False)]
)
def test_a_failover_is_good_when_every_turn_was_answered_once(
    answered: int, twice: int, good: bool
) -> None:
    found = Failover(
        session_s=10,
        partitions=4,
        resumed_s=11.0,
        longest_s=13.0,
        asked=10,
        answered=answered,
        twice=twice,
    )

    assert found.good is good
