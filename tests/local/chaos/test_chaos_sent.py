from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.changing import replace
from schemas.events import Author, BubbleState, OutboundSettled, OutboundUpdated
from streams.local.chaos.story import story
from streams.local.chaos.verdict import judge
from tests.local.chaos.runs import FIRST, KILLED, Run


def taken(run: Run, number: int, **changes: Any) -> None:
    """WhatsApp took a bubble otherwise; 4 is the last one of whom a person takes over."""
    run.taken = lambda each: replace(each, **changes) if each.number == number else each


def resent_unnamed(run: Run) -> None:
    run.accepted.append(replace(run.accepted[0], number=99, conversation_id="", bubble_id=""))


def sent_in_nobodys_name(run: Run) -> None:
    run.accepted.append(
        replace(run.accepted[0], number=99, bubble_id="ghost", conversation_id="conv_nobody")
    )
    taken(run, 99, to=FIRST)


def in_a_conversation_of_its_own(run: Run) -> None:
    """A customer was not known again, and is answered as if they had never written."""
    for index, record in enumerate(run.records):
        if record.event.occurred_at >= 5000 and record.event.conversation_id == f"conv_{FIRST}":
            changed = replace(record.event, conversation_id="conv_other")
            run.records[index] = replace(record, event=changed)


def half_an_answer(run: Run, state: BubbleState) -> None:
    """The gate drops a bubble as the rest of an answer of which a part has another state."""
    run.change(
        OutboundSettled, 0, state=BubbleState.DROPPED, reason="part_failed", author=Author.AI
    )
    run.accepted.pop(0)
    run.change(OutboundUpdated, 0, state=state)


PLANTED: dict[str, tuple[Callable[[Run], object], str]] = {
    "a frozen gate sends a bubble after the takeover": (
        lambda r: taken(r, 4, at_ms=12_003),
        "sent_late",
    ),
    "a bubble is doubled under no name": (resent_unnamed, "addressed"),
    "a bubble is doubled in a conversation of nobody's": (sent_in_nobodys_name, "addressed"),
    "a message is in a conversation of its own": (in_a_conversation_of_its_own, "scattered"),
    "the rest of an answer is dropped, and no part has failed": (
        lambda r: half_an_answer(r, BubbleState.DROPPED),
        "dropped",
    ),
    "a bubble goes to another customer": (lambda r: taken(r, 4, to=FIRST), "addressed"),
    "a bubble is sent in another conversation's name": (
        lambda r: taken(r, 4, conversation_id=f"conv_{FIRST}"),
        "addressed",
    ),
}


@pytest.fixture
def run() -> Run:
    return Run.well()


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_bug_of_sending_is_caught_by_name(run: Run, plant: str) -> None:
    break_it, rule = PLANTED[plant]

    break_it(run)

    assert rule in run.broken()


def test_what_was_claimed_before_the_takeover_may_be_on_its_way(run: Run) -> None:
    taken(run, 4, at_ms=12_002)

    assert run.broken() == set()


def test_clocks_that_differ_on_purpose_are_not_compared(run: Run) -> None:
    run.faults = ("F1", "F14")
    taken(run, 4, at_ms=3_600_000)

    assert run.broken() == set()


def test_a_wrong_clock_is_proved_by_what_was_decided_with_it(run: Run) -> None:
    seen = replace(
        KILLED, fault="F14", ended_ms=7_000, evidence={"skew_ms": -3_600_000, "skewed_s": 20}
    )
    run.faults = ("F14",)
    run.struck = [replace(seen, began_ms=3_601_000, ended_ms=3_607_000)]
    proved = judge(story(run.facts())).unreal
    run.struck = [seen]  # the worker was still starting

    assert proved == []
    assert judge(story(run.facts())).unreal == [
        "F14 of worker is not proved: nothing was decided by the wrong clock"
    ]


def test_the_rest_of_an_answer_may_be_dropped_when_a_part_failed(run: Run) -> None:
    half_an_answer(run, BubbleState.FAILED)

    assert run.broken() == set()
