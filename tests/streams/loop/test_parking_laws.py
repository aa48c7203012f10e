"""The law of parking: whatever comes back, and however often, the log's order is decided once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Position
from streams.state.parking import Arm, Parking, Returned, arm_of

BEGUN = Parking.begun(Position(topic="t", partition=1, offset=7), "bug", 5)
RETURNS = st.builds(
    Returned,
    parking_id=st.sampled_from([BEGUN.parking_id, "t/1/6"]),
    number=st.integers(1, 8),
    dropped=st.booleans(),
)


class Twin:
    """What is parked and what was decided, by the rules of ``arm_of`` alone."""

    def __init__(self) -> None:
        self.flag: Parking | None = BEGUN
        self.number = 1  # of the newest event that was set aside
        self.had_turn: list[int] = []
        self.overtook = False

    def arrive(self) -> None:
        arm = arm_of(self.flag, None)
        if arm is Arm.BEHIND:
            assert self.flag is not None
            self.flag = self.flag.behind()
            self.number += 1
            assert self.flag.last == self.number
        else:
            assert arm is Arm.DECIDE
            self.overtook |= self.had_turn != list(range(1, self.number + 1))

    def come_back(self, record: Returned) -> None:
        if arm_of(self.flag, record) in (Arm.RETURN, Arm.DROP):
            assert self.flag is not None
            self.had_turn.append(record.number)
            self.flag = self.flag.advanced()


@given(st.lists(st.none() | RETURNS, max_size=60))
def test_every_number_has_its_turn_once_in_order_and_nothing_overtakes(
    steps: list[Returned | None],
) -> None:
    twin = Twin()

    for each in steps:
        if each is None:
            twin.arrive()
        else:
            twin.come_back(each)

    assert twin.had_turn == list(range(1, len(twin.had_turn) + 1))
    assert not twin.overtook
    assert (twin.flag is None) == (len(twin.had_turn) == twin.number)


@given(st.integers(0, 6), st.integers(1, 9))
def test_a_tool_that_repeats_all_from_the_first_number_always_ends_the_parking(
    more: int, stop: int
) -> None:
    twin = Twin()
    for _ in range(more):
        twin.arrive()

    for number in range(1, min(stop, twin.number) + 1):  # a redrive that was killed
        twin.come_back(Returned(BEGUN.parking_id, number))
    for number in range(1, twin.number + 1):
        twin.come_back(Returned(BEGUN.parking_id, number))

    assert twin.flag is None
    assert twin.had_turn == list(range(1, more + 2))


def test_headers_of_other_tools_make_no_record_a_returned_one() -> None:
    assert Returned.of([("dlq.parking", b"t/1/7"), ("dlq.sequence", b"3")]) == Returned("t/1/7", 3)
    assert Returned.of([("dlq.parking", b"t/1/7"), ("dlq.sequence", b"x")]) is None
    assert Returned.of([("dlq.sequence", b"3")]) is None
    assert Returned.of([("traceparent", b"00")]) is None
