from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.local.simulator.course import DELAYS_MS, course
from streams.local.simulator.script import Kind, Script, Wish, wishes


def taken(script: Script, kind: Kind, opportunities: int) -> list[int]:
    """Return which opportunities are taken, from 1."""
    return [n for n in range(1, opportunities + 1) if script.act(kind) is not None]


def test_the_next_ones_are_taken_unless_told_otherwise() -> None:
    assert taken(Script(1, wishes("cut=3")), Kind.CUT, 10) == [1, 2, 3]


def test_some_are_taken_among_many_by_the_seed() -> None:
    first, again, other = (
        taken(Script(seed, wishes("cut=5/100")), Kind.CUT, 200) for seed in (1, 1, 2)
    )

    assert first == again != other
    assert len(first) == len(other) == 5
    assert max(first + other) <= 100


def test_each_is_taken_with_a_probability_by_the_seed() -> None:
    first, again, other = (
        taken(Script(seed, wishes("slow=0.1")), Kind.SLOW, 2000) for seed in (1, 1, 2)
    )

    assert first == again != other
    assert 100 < len(first) < 300
    assert taken(Script(1, wishes("slow=1.0")), Kind.SLOW, 5) == [1, 2, 3, 4, 5]
    assert taken(Script(1, wishes("slow=0.0")), Kind.SLOW, 5) == []


def test_a_burst_takes_several_in_a_row() -> None:
    found = taken(Script(3, wishes("error=2/50:burst=4")), Kind.ERROR, 80)

    runs = [n for n in found if n - 1 not in found]
    assert len(runs) <= 2
    assert len(found) in {8, 7, 6, 5}


def test_kinds_have_opportunities_of_their_own() -> None:
    script = Script(1, wishes("cut=1,slow=1"))

    assert script.first(Kind.CUT, Kind.SLOW) == Wish(kind=Kind.CUT, times=1)
    assert script.first(Kind.CUT, Kind.SLOW) == Wish(kind=Kind.SLOW, times=1)
    assert script.first(Kind.CUT, Kind.SLOW) is None
    assert [(w["kind"], w["seen"], w["taken"]) for w in script.state()] == [
        ("cut", 3, 1),
        ("slow", 2, 1),
    ]


def test_what_was_wished_can_be_taken_back() -> None:
    script = Script(1, wishes("cut=100"))
    script.act(Kind.CUT)

    script.clear()

    assert taken(script, Kind.CUT, 5) == []


@given(st.integers(), st.integers(1, 30), st.integers(0, 60))
def test_exactly_as_many_are_taken_as_were_wished(seed: int, times: int, more: int) -> None:
    among = times + more
    script = Script(seed, [Wish(kind=Kind.CUT, times=times, among=among)])

    assert len(taken(script, Kind.CUT, among)) == times
    assert taken(script, Kind.CUT, 50) == []


def test_a_wish_is_read_from_one_word() -> None:
    assert wishes("cut=3/200, slow=0.05:seconds=1.5,error=2:status=500:code=131016:burst=10") == [
        Wish(kind=Kind.CUT, times=3, among=200),
        Wish(kind=Kind.SLOW, probability=0.05, seconds=1.5),
        Wish(kind=Kind.ERROR, times=2, status=500, code=131016, burst=10),
    ]
    assert wishes("") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense=1", "nonsense=1"),
        ("cut", "expected kind=times"),
        ("cut=", "cut="),
        ("cut=0", "times is at least 1"),
        ("cut=3/2", "at most among"),
        ("cut=1.5", "from 0 to 1"),
        ("cut=1:kind=slow", "kind is none of"),
        ("error=1:burst=0", "burst and copies"),
        ("slow=1:seconds=-1", "seconds at least 0"),
    ],
)
def test_a_wish_that_cannot_be_meant_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        wishes(f"slow=1,{text}")


def test_a_wish_has_either_times_or_a_probability() -> None:
    for given_twice in ({"kind": "cut"}, {"kind": "cut", "times": 1, "probability": 0.5}):
        with pytest.raises(msgspec.ValidationError, match="either times or a probability"):
            msgspec.convert(given_twice, Wish)


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("", ["sent", "delivered", "read"]),
        ("failed=1", ["failed"]),
        ("failed_then_delivered=1", ["failed", "delivered", "read"]),
        ("undelivered=1", ["sent"]),
        ("unread=1", ["sent", "delivered"]),
        ("only_read=1", ["sent", "read"]),
        ("silent=1", []),
        ("status_reorder=1", ["read", "delivered", "sent"]),
        ("status_twice=1", ["sent", "delivered", "sent", "delivered", "read", "read"]),
        ("status_late=1:seconds=60", ["sent", "delivered", "read"]),
        ("undelivered=1,status_twice=1", ["sent", "sent"]),
    ],
)
def test_statuses_take_the_course_that_was_wished(wish: str, expected: list[str]) -> None:
    script = Script(1, wishes(wish))
    chosen, usual = course(script), course(script)

    told = sorted(chosen.told, key=lambda each: each.after_ms)
    assert [each.state for each in told] == expected
    assert [act.kind for act in chosen.acts] == [each.kind for each in wishes(wish)]
    assert [each.state for each in usual.told] == list(DELAYS_MS)


def test_statuses_that_come_in_another_order_keep_their_times() -> None:
    chosen = course(Script(1, wishes("status_reorder=1")))

    assert {each.state: each.stamp_ms for each in chosen.told} == DELAYS_MS


def test_late_statuses_are_late_but_not_dated_so() -> None:
    (sent, *_) = course(Script(1, wishes("status_late=1:seconds=60"))).told

    assert (sent.after_ms, sent.stamp_ms) == (60_005, 5)
