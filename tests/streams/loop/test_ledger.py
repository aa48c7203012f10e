from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from streams.consumer.ledger import Ledger


@dataclass(frozen=True, eq=False)
class Delivery:
    offset: int


def test_the_lowest_unfinished_offset_may_be_committed() -> None:
    ledger = Ledger(10)
    first, second, third = (Delivery(offset) for offset in (10, 11, 14))
    for message in (first, second, third):
        ledger.deliver(message)

    ledger.finish(second)
    ledger.finish(third)
    assert ledger.safe() == 10

    ledger.finish(first)
    assert ledger.safe() == 15


def test_an_old_message_object_does_not_finish_a_redelivery() -> None:
    ledger = Ledger(0)
    old, new = Delivery(0), Delivery(0)
    ledger.deliver(old)
    ledger.withdraw(old)
    ledger.deliver(new)

    assert not ledger.finish(old)
    assert ledger.safe() == 0


def test_a_withdrawn_delivery_comes_again() -> None:
    ledger = Ledger(5)
    message = Delivery(5)
    ledger.deliver(message)

    ledger.withdraw(message)

    assert (ledger.next, ledger.safe()) == (5, 5)


@given(
    start=st.integers(0, 1000),
    gaps=st.lists(st.integers(1, 5), min_size=1, max_size=30),
    finished=st.lists(st.integers(0, 29)),
)
def test_the_commit_never_passes_a_live_offset(
    start: int, gaps: list[int], finished: list[int]
) -> None:
    ledger = Ledger(start)
    messages = []
    offset = start
    for gap in gaps:
        messages.append(Delivery(offset))
        ledger.deliver(messages[-1])
        offset += gap
    for at in finished:
        if at < len(messages):
            ledger.finish(messages[at])
        live = [m.offset for m in messages if m.offset in ledger.live]
        assert ledger.safe() == (min(live) if live else messages[-1].offset + 1)
        assert all(ledger.finished(m.offset) == (m.offset not in ledger.live) for m in messages)
