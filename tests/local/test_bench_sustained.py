from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.local.bench.sustained import ATTEMPTS, FINEST, highest

SHORT_S = 10.0
LONG_S = 60.0


class Machine:
    """Sustains so much for a short time, and less for a long one."""

    def __init__(self, capacity: float, lasting: float | None = None) -> None:
        self.capacity = capacity
        self.lasting = capacity if lasting is None else lasting
        self.tried: list[tuple[float, float]] = []

    async def trial(self, rate: float, seconds: float) -> bool:
        self.tried.append((rate, seconds))
        return rate <= (self.lasting if seconds == LONG_S else self.capacity)

    async def find(self, first: float) -> float:
        return await highest(first, self.trial, short_s=SHORT_S, seconds=LONG_S)


async def test_it_doubles_then_halves_in_then_confirms() -> None:
    machine = Machine(1600)

    assert await machine.find(500) == 1542
    assert machine.tried == [
        (500, SHORT_S),
        (1000, SHORT_S),
        (2000, SHORT_S),
        (1414, SHORT_S),
        (1682, SHORT_S),
        (1542, SHORT_S),
        (1542, LONG_S),
    ]


async def test_it_goes_down_when_the_first_rate_is_too_much() -> None:
    machine = Machine(130)

    found = await machine.find(500)

    assert 130 / FINEST <= found <= 130


async def test_what_is_not_sustained_for_long_is_tried_a_tenth_lower() -> None:
    machine = Machine(1600, lasting=1300)

    assert await machine.find(500) == 1273
    assert machine.tried[-3:] == [(1542, LONG_S), (1401, LONG_S), (1273, LONG_S)]


async def test_a_rate_that_was_never_sustained_for_long_is_not_told() -> None:
    machine = Machine(1600, lasting=0)

    assert await machine.find(500) == 0
    assert [seconds for _, seconds in machine.tried].count(LONG_S) == ATTEMPTS


async def test_when_no_rate_is_sustained_it_ends_with_none() -> None:
    assert await Machine(0).find(500) == 0


@given(st.integers(1, 100_000), st.integers(1, 2_000))
async def test_whatever_the_machine_sustains_is_found_to_a_tenth(capacity: int, first: int) -> None:
    machine = Machine(capacity)

    found = await machine.find(first)

    assert found <= capacity
    assert found * FINEST >= capacity or found + 1 >= capacity
    assert len(machine.tried) < 40


@pytest.mark.parametrize("capacity", [3, 17, 100])
async def test_no_rate_is_tried_for_a_short_time_twice(capacity: float) -> None:
    machine = Machine(capacity)

    await machine.find(20)

    short = [rate for rate, seconds in machine.tried if seconds == SHORT_S]
    assert len(short) == len(set(short))
