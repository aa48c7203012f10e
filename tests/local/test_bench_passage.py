from __future__ import annotations

import pytest

from schemas.changing import replace
from streams.local.bench.passage import Arrival, Passage, judge

MS = 1_000_000
EVERY = 100 * MS
SENT = [number * EVERY for number in range(40)]
"""Ten a second for four seconds; the first is number 100."""
KEPT_UP = Passage(
    rate=100,
    sent=1000,
    sending_s=10.0,
    took_ms=(5.0, 9.0, 20.0),
    behind_s=0.1,
    lost=0,
    doubled=0,
    reordered=0,
)


def out(*, took_ms: int = 5) -> list[Arrival]:
    """What comes out when all is well: each record after a while, two keys."""
    return [
        (100 + place, at_ns + took_ms * MS, f"conv_{place % 2}") for place, at_ns in enumerate(SENT)
    ]


def judged(arrivals: list[Arrival]) -> Passage:
    return judge(10, 100, SENT, arrivals)


def test_what_came_out_once_in_order_is_all_right() -> None:
    passage = judged(out())

    assert passage == Passage(
        rate=10,
        sent=40,
        sending_s=3.9,
        took_ms=(5.0, 5.0, 5.0),
        behind_s=0.005,
        lost=0,
        doubled=0,
        reordered=0,
    )


def test_what_did_not_come_out_is_lost() -> None:
    arrivals = out()
    del arrivals[7], arrivals[30]

    assert (judged(arrivals).lost, judged(arrivals).wrong) == (2, 2)


def test_when_nothing_came_out_everything_is_lost() -> None:
    assert (judged([]).lost, judged([]).sustained) == (40, False)


def test_what_came_out_again_is_doubled_and_nothing_else() -> None:
    arrivals = out()
    arrivals += [arrivals[3], arrivals[3]]

    assert (judged(arrivals).doubled, judged(arrivals).wrong) == (2, 2)


def test_a_lost_record_is_not_made_up_for_by_one_that_came_twice() -> None:
    arrivals = out()
    arrivals[5] = arrivals[7]

    assert (judged(arrivals).lost, judged(arrivals).doubled) == (1, 1)


def test_a_record_that_came_twice_took_until_it_came_first() -> None:
    number, at_ns, key = out()[-1]

    passage = judged([*out(), (number, at_ns + 900 * MS, key)])

    assert (passage.took_ms, passage.behind_s) == ((5.0, 5.0, 5.0), 0.005)


def test_what_comes_again_of_an_earlier_burst_is_doubled() -> None:
    assert judged([(99, 0, "conv_1"), *out()]).doubled == 1


def test_what_comes_after_a_later_one_of_its_key_is_reordered() -> None:
    arrivals = out()
    arrivals[10], arrivals[12] = arrivals[12], arrivals[10]

    assert (judged(arrivals).reordered, judged(arrivals).wrong) == (1, 1)


def test_every_record_that_a_later_one_of_its_key_overtook_is_reordered() -> None:
    arrivals = out()
    arrivals.insert(10, arrivals.pop(14))

    assert judged(arrivals).reordered == 2


def test_other_keys_may_be_quicker() -> None:
    arrivals = out()
    arrivals[10], arrivals[11] = arrivals[11], arrivals[10]

    assert judged(arrivals).wrong == 0


def test_the_first_two_seconds_are_in_no_percentile() -> None:
    arrivals = [
        (number, at_ns + (900 if number < 120 else 0) * MS, key) for number, at_ns, key in out()
    ]

    assert judged(arrivals).took_ms == (5.0, 5.0, 5.0)


def test_the_slowest_records_are_in_the_last_percentile() -> None:
    arrivals = out()
    number, at_ns, key = arrivals[25]
    arrivals[25] = (number, at_ns + 300 * MS, key)

    assert judged(arrivals).took_ms[::2] == (5.0, 305.0)


def test_behind_is_counted_from_the_last_record_that_went_in() -> None:
    assert judged(out(took_ms=1500)).behind_s == 1.5


@pytest.mark.parametrize(
    ("passage", "expected"),
    [
        pytest.param(KEPT_UP, True, id="kept up"),
        pytest.param(replace(KEPT_UP, behind_s=1.1), False, id="a backlog at the end"),
        pytest.param(replace(KEPT_UP, took_ms=(5, 9, 1001)), False, id="slow on the way"),
        pytest.param(replace(KEPT_UP, sending_s=11.0), False, id="less went in than asked for"),
        pytest.param(replace(KEPT_UP, lost=1), False, id="lost"),
        pytest.param(replace(KEPT_UP, doubled=1), False, id="doubled"),
        pytest.param(replace(KEPT_UP, reordered=1), False, id="reordered"),
    ],
)
def test_a_rate_is_sustained_when_the_chain_kept_up_and_kept_its_word(
    passage: Passage, expected: bool
) -> None:
    assert passage.sustained is expected
