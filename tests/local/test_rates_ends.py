"""What a run of one number's rate says of its bubbles."""

from __future__ import annotations

import pytest

from schemas.changing import replace
from schemas.events import BubbleState, OutboundKind, OutboundSettled
from streams.local.bench.ends import Ends
from streams.local.bench.figure import Allowance
from tests.agents.outbound.desk import bubble, envelope

GOOD = Allowance(
    limit=80,
    asked=5,
    accepted=3,
    duplicates=0,
    refusals={},
    seconds=1.0,
    ends={"accepted": 3, "failed": 1, "unknown": 1},
)


def settled(
    name: str, state: BubbleState, kind: OutboundKind = OutboundKind.MESSAGE, at_ms: int = 0
) -> OutboundSettled:
    asked = bubble(name)
    return OutboundSettled(
        **envelope("outbound.message.settled", f"{name}:{state}:{kind}", at_ms),
        bubble_id=name,
        epoch=0,
        author=asked.author,
        kind=kind,
        state=state,
    )


def test_a_bubble_that_a_person_has_is_not_lost() -> None:
    assert GOOD.good
    assert GOOD.handed == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"ends": {"accepted": 3, "failed": 1}, "lost": 1},
        {"ends": {"accepted": 3, "failed": 1, "dropped": 1}},
        {"ends": {"accepted": 3, "failed": 1, "twice": 1}},
        {"ends": {"accepted": 5}},  # WhatsApp has only three of them
        {"duplicates": 1},
        {"refusals": {130429: 1}},
        {"outside": 1},
    ],
)
def test_what_is_lost_doubled_or_refused_is_not_good(wrong: dict[str, object]) -> None:
    assert not replace(GOOD, **wrong).good  # type: ignore[arg-type] # one field each


def test_the_ends_of_what_was_asked_for_are_counted_once() -> None:
    ends = Ends()
    for number in (1, 2, 3):
        ends.asked(f"b{number}", number * 1000)
    for event in (
        settled("b1", BubbleState.ACCEPTED),
        settled("b1", BubbleState.FAILED, OutboundKind.REPORT),
        settled("b2", BubbleState.FAILED),
        settled("somebody else's", BubbleState.FAILED),
    ):
        ends.note(event)

    assert ends.counted() == {"accepted": 1, "failed": 1}
    assert ends.lost == 1
    assert ends.longest_s([("b1", 1500), ("b3", 9000), ("older", 99_000)]) == 6.0


def test_only_another_event_is_a_second_end_and_a_repeated_record_is_none() -> None:
    ends = Ends()
    for name in ("repeated", "doubled"):
        ends.asked(name, 0)
    once = settled("repeated", BubbleState.ACCEPTED)
    for event in (once, once, *(settled("doubled", state) for state in BubbleState)):
        ends.note(event)

    assert ends.counted() == {"accepted": 1, "twice": 1}


def test_a_run_tells_what_a_person_had_only_after_its_window() -> None:
    ends = Ends()
    for name, at_ms in (("b1", 15_999), ("b2", 21_000), ("b3", 90_000)):
        ends.asked(name, 1_000)
        state = BubbleState.UNKNOWN if name == "b3" else BubbleState.FAILED
        ends.note(settled(name, state, at_ms=at_ms))

    handed = ends.failed_ms.items()
    assert (ends.handed_s, ends.late(20.0, handed), ends.late(20.1, handed)) == (20.0, 1, 0)


def test_a_later_bubble_says_that_its_customers_window_is_open_for_longer() -> None:
    ends = Ends()
    for name, at_ms, customer in (("b1", 1_000, "ana"), ("b2", 9_000, "ana"), ("b3", 9_000, "bia")):
        ends.asked(name, at_ms, customer)

    assert ends.late(20.0, [("b1", 28_999)]) == 0
    assert ends.late(20.0, [("b1", 29_000), ("b3", 29_000), ("nobody's", 99_000)]) == 2
    assert ends.late(5.0, [("b1", 8_000)]) == 1  # the later bubble was not asked for yet
