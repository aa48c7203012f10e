from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agents.core.rate_shares import Lease, fair_shares, next_share, usable

TOTAL = 76
VALID, GRACE = 20, 15  # in ticks: how long a worker may use a share; how much longer it counts


@pytest.mark.parametrize(("limit", "total"), [(80, 76), (20, 19), (1000, 950), (1, 1)])
def test_a_part_of_whatsapps_limit_is_left_alone(limit: int, total: int) -> None:
    assert usable(limit) == total


@pytest.mark.parametrize(
    ("wants", "shares"),
    [
        ({}, {}),
        ({"a": 0}, {"a": 4}),  # what nobody wants is free
        ({"a": 100}, {"a": 76}),
        ({"a": 10}, {"a": 76}),  # what is left over goes to those who want something
        ({"a": 100, "b": 0}, {"a": 72, "b": 4}),
        ({"a": 100, "b": 100}, {"a": 38, "b": 38}),
        ({"a": 100, "b": 20, "c": 0}, {"a": 52, "b": 20, "c": 4}),  # the least served first
        ({"a": 10, "b": 20}, {"a": 33, "b": 43}),
        ({"a": 100, "b": 100, "c": 100}, {"a": 25, "b": 25, "c": 26}),
    ],
)
def test_who_should_have_how_much(wants: dict[str, int], shares: dict[str, int]) -> None:
    assert fair_shares(wants, TOTAL) == shares


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=4), st.integers(0, 300), max_size=200),
    st.integers(1, 950),
)
def test_fair_shares_never_sum_up_to_more_and_leave_nothing_that_somebody_wants(
    wants: dict[str, int], total: int
) -> None:
    shares = fair_shares(wants, total)

    assert sum(shares.values()) <= total
    assert all(share >= 0 for share in shares.values())
    if any(wants[name] > shares[name] for name in wants):
        assert sum(shares.values()) == total


def test_a_worker_takes_only_what_is_free() -> None:
    others = {"b": Lease(share=70, wanted=100)}

    assert next_share("a", 100, others, total=TOTAL, carried=0) == 6


def test_what_whatsapp_still_counts_is_not_given_up() -> None:
    others = {"b": Lease(share=0, wanted=100)}

    assert next_share("a", 0, others, total=TOTAL, carried=30) == 30
    assert next_share("a", 0, others, total=TOTAL, carried=0) == 4


def test_a_limit_that_was_lowered_leaves_nothing_to_take() -> None:
    assert next_share("a", 9, {"b": Lease(share=76, wanted=9)}, total=19, carried=0) == 0


class Book(RuleBasedStateMachine):
    """Rows of a database and workers that believe in what they last took, in ticks of 100 ms."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.rows: dict[str, tuple[Lease, int]] = {}
        self.beliefs: dict[str, tuple[int, int]] = {}
        self.sent: dict[str, int] = {}

    @rule(
        worker=st.sampled_from("abcde"),
        wanted=st.integers(0, 200),
        busy=st.integers(0, 100),
        slow=st.integers(0, 40),
        lost=st.booleans(),
    )
    def renews(self, worker: str, wanted: int, busy: int, slow: int, *, lost: bool) -> None:
        """``slow``: how long the answer takes; ``lost``: it was written, but never heard."""
        began = self.now
        live = {n: each for n, (each, end) in self.rows.items() if end + GRACE > self.now}
        others = {name: each for name, each in live.items() if name != worker}
        before, until = self.beliefs.get(worker, (0, 0))
        usable_now = before if until > self.now else 0
        share = next_share(worker, wanted, others, total=TOTAL, carried=min(busy, usable_now))
        self.rows[worker] = (Lease(share=share, wanted=wanted), self.now + VALID)
        self.beliefs[worker] = (min(before, share), until)
        self.now += slow
        if not lost:
            self.beliefs[worker] = (share, began + VALID)

    @rule(worker=st.sampled_from("abcde"))
    def leaves(self, worker: str) -> None:
        if worker in self.rows:
            self.rows[worker] = (self.rows[worker][0], min(self.rows[worker][1], self.now))
        self.beliefs.pop(worker, None)

    @rule(ticks=st.integers(1, 60))
    def time_passes(self, ticks: int) -> None:
        self.now += ticks

    @invariant()
    def the_shares_that_anybody_believes_in_never_sum_up_to_more(self) -> None:
        believed = sum(share for share, until in self.beliefs.values() if until > self.now)
        assert believed <= TOTAL

    @invariant()
    def nor_do_the_rows_that_count(self) -> None:
        live = sum(each.share for each, end in self.rows.values() if end + GRACE > self.now)
        assert live <= TOTAL


TestBook = Book.TestCase
TestBook.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_what_is_not_used_has_moved_after_two_renewals_of_each() -> None:
    rows = {"a": Lease(share=38, wanted=38), "b": Lease(share=38, wanted=38)}

    for wanted in ({"a": 0, "b": 100}, {"a": 0, "b": 100}):
        for worker in ("b", "a"):  # the one that needs it asks too early
            others = {name: each for name, each in rows.items() if name != worker}
            share = next_share(worker, wanted[worker], others, total=TOTAL, carried=0)
            rows[worker] = Lease(share=share, wanted=wanted[worker])

    assert {name: each.share for name, each in rows.items()} == {"a": 4, "b": 72}
