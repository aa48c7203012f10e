from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.local.simulator.limits import PAIR_BURST, PAIR_MS, Pairs, Throughput

PAIR = ("111", "5511999990001")


def sent(*times_s: float) -> list[bool]:
    """Say of messages at these times which ones may go; each that may goes."""
    pairs, found = Pairs(), []
    for time_s in times_s:
        at_ms = 1_700_000_000_000 + round(time_s * 1000)
        free = pairs.free_ms(PAIR, at_ms) == at_ms
        found.append(free)
        if free:
            pairs.count(PAIR, at_ms)
    return found


@pytest.mark.parametrize(
    ("times_s", "expected"),
    [
        # One every six seconds, for ever.
        ([0, 6, 12, 18, 24], [True] * 5),
        # Two at once take twelve seconds.
        ([0, 1, 6, 11.999, 12], [True, True, False, False, True]),
        # Meta's own example: 20 at once are followed by two minutes.
        ([0] * 20 + [119.999, 120], [True] * 20 + [False, True]),
        # 45 in six seconds, and not one more.
        ([0] * 45 + [5], [True] * 45 + [False]),
        ([0] * 45 + [269.999, 270], [True] * 45 + [False, True]),
        # The burst is over after six seconds, however little it took.
        ([0, 5.999, 6], [True, True, False]),
    ],
)
def test_a_burst_is_borrowed_from_the_future(times_s: list[float], expected: list[bool]) -> None:
    assert sent(*times_s) == expected


def test_pairs_do_not_know_of_each_other() -> None:
    pairs = Pairs()
    for _ in range(PAIR_BURST):
        pairs.count(PAIR, 1_000)

    assert pairs.free_ms(PAIR, 1_001) == 1_000 + PAIR_BURST * PAIR_MS
    assert pairs.free_ms(("111", "5511999990002"), 1_001) == 1_001
    assert pairs.free_ms(("222", PAIR[1]), 1_001) == 1_001


class Diary:
    """The slow way: every second that a pair's messages took is written down."""

    def __init__(self) -> None:
        self.taken: dict[int, int] = {}
        self.size: dict[int, int] = {}

    def send(self, second: int) -> bool:
        burst = self.taken.get(second, second)
        if second in self.taken and (second >= burst + 6 or self.size[burst] == PAIR_BURST):
            return False
        first = max([s for s, owner in self.taken.items() if owner == burst], default=second - 1)
        self.taken |= dict.fromkeys(range(first + 1, first + 7), burst)
        self.size[burst] = self.size.get(burst, 0) + 1
        return True


@given(st.lists(st.sampled_from([0, 0, 0, 0, 1, 2, 5, 6, 7, 30, 120, 270, 271]), max_size=150))
def test_the_pair_limit_agrees_with_a_diary_of_every_second(steps: list[int]) -> None:
    pairs, diary, second = Pairs(), Diary(), 1_700_000_000
    for step in steps:
        second += step
        free = pairs.free_ms(PAIR, second * 1000) == second * 1000
        if free:
            pairs.count(PAIR, second * 1000)
        assert free == diary.send(second)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=200), st.integers(1, 20))
def test_no_second_ever_holds_more_than_its_throughput(steps: list[int], mps: int) -> None:
    throughput, now_ms, passed = Throughput(), 0, []
    for step in steps:
        now_ms += step
        if throughput.used("111", now_ms) < mps:
            throughput.count("111", now_ms)
            passed.append(now_ms)

    assert all(sum(start <= each < start + 1000 for each in passed) <= mps for start in set(passed))
    assert throughput.used("222", now_ms) == 0
