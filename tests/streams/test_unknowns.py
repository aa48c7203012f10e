from __future__ import annotations

from agents.ports import Posted, UnknownBubbles
from streams import metrics
from streams.unknowns import LONGEST_S, Unknowns


def test_unknown_bubbles_are_counted_until_they_are_known() -> None:
    unknowns = Unknowns(lambda: 0.0)
    unknowns.note("conv_1", 2)
    unknowns.note("conv_2", 1)
    assert unknowns.total() == 3

    unknowns.note("conv_1", 1)
    unknowns.note("conv_2", 0)

    assert unknowns.total() == 1


def test_those_that_went_to_another_worker_are_not_counted_for_ever() -> None:
    now = [0.0]
    unknowns = Unknowns(lambda: now[0])
    unknowns.note("conv_1", 2)

    now[0] = LONGEST_S

    assert unknowns.total() == 0


def sends_unknown() -> float:
    return float(metrics.UNKNOWN_SENDS._value.get())


def test_what_a_dead_worker_left_unknown_is_counted_once_by_whoever_finds_it() -> None:
    """The one that wrote the request is gone, with what it may have counted."""
    before = sends_unknown()

    for _ in range(3):  # decided again and again while Kafka is away
        metrics.observe(UnknownBubbles(conversation_id="conv_left", count=1))

    assert sends_unknown() == before + 1


def test_a_request_that_was_cut_off_is_counted_once() -> None:
    before = sends_unknown()

    metrics.observe(Posted(outcome="unknown", code=0, seconds=1.0))
    metrics.observe(UnknownBubbles(conversation_id="conv_cut", count=1))
    metrics.observe(UnknownBubbles(conversation_id="conv_cut", count=0))
    metrics.observe(UnknownBubbles(conversation_id="conv_cut", count=1))

    assert sends_unknown() == before + 2
