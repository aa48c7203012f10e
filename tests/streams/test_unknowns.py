from __future__ import annotations

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
