"""Timers that a worker whose clock was ahead has armed, at a worker with a right clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.processor.corrections import SKEW_MS, Corrections
from streams.processor.deciding import Step
from streams.state.parking import Parking
from streams.state.records import Entry
from tests.streams.loop.fakes import NOW_MS, FakeMessage
from tests.streams.loop.test_timers import KEY, Clockwork

HOUR_MS = 3_600_000
WRITTEN_MS = NOW_MS + HOUR_MS
"""When it was written, by a clock that is an hour ahead."""


async def test_a_wait_lasts_as_long_as_it_was_to_last_whatever_the_writers_clock_said() -> None:
    work = Clockwork()
    due_ms = WRITTEN_MS + 1_500
    work.store({"burst": due_ms}, at_ms=WRITTEN_MS)

    work.clock.ms += 1_499
    await work.timers.fire()
    assert work.fired() == []

    work.clock.ms += 1
    await work.timers.fire()
    await work.timers.fire()

    assert work.fired() == [("conv_0", "burst", due_ms)], "the event of the state, once"


async def test_it_holds_when_a_right_clock_writes_and_leaves_the_timer_as_it_was() -> None:
    work = Clockwork()
    silence_ms = WRITTEN_MS + 60_000
    work.store({"return": silence_ms}, at_ms=WRITTEN_MS)
    work.clock.ms += 30_000

    work.store({"return": silence_ms, "burst": work.clock.ms + 1_000}, at_ms=work.clock.ms)
    work.clock.ms += 30_000
    await work.timers.fire()

    assert sorted(name for _, name, _ in work.fired()) == ["burst", "return"]


def test_a_parked_conversation_keeps_what_was_corrected_before() -> None:
    early = (("return", WRITTEN_MS, NOW_MS),)
    before = Entry(b"{}", {}, parked=Parking("a.topic/0/1", "bug", NOW_MS), early=early)
    message = FakeMessage("a.topic", 2, KEY, b"")

    after = Step(b"{}", None).entry(before.kept().head, message, epoch=1, at_ms=NOW_MS)

    assert Entry.loads(after.dumps()).early == early


async def test_a_timer_that_a_right_clock_armed_again_has_its_own_time() -> None:
    work = Clockwork()
    work.store({"burst": WRITTEN_MS + 1_500}, at_ms=WRITTEN_MS)
    work.store({"burst": NOW_MS + 9_000}, at_ms=NOW_MS)
    work.clock.ms += 8_999

    await work.timers.fire()

    assert work.fired() == []
    assert work.timers.corrections.known == {}


async def test_a_time_that_a_person_has_named_is_waited_for() -> None:
    work = Clockwork(absolute=frozenset({"pause"}))
    until_ms = WRITTEN_MS + 1_800_000
    work.store({"pause": until_ms, "burst": WRITTEN_MS}, at_ms=WRITTEN_MS)

    await work.timers.fire()
    work.clock.ms = until_ms - 1
    await work.timers.fire()
    assert [name for _, name, _ in work.fired()] == ["burst"] * 2, "it is not taken in this test"

    work.clock.ms = until_ms
    await work.timers.fire()

    assert work.fired()[-1] == ("conv_0", "pause", until_ms)


@pytest.mark.parametrize("at_ms", [0, NOW_MS - HOUR_MS, NOW_MS, NOW_MS + SKEW_MS])
async def test_clocks_that_agree_within_seconds_change_nothing(at_ms: int) -> None:
    work = Clockwork()
    work.store({"burst": NOW_MS + 6_000}, at_ms=at_ms)
    work.clock.ms += 5_999

    await work.timers.fire()

    assert work.fired() == []


async def test_nothing_is_kept_of_conversations_that_are_done_or_another_workers() -> None:
    work = Clockwork()
    for number in range(3):
        key = f"conv_{number}".encode()
        work.store({"burst": WRITTEN_MS + 1}, key, partition=number, at_ms=WRITTEN_MS)
    assert len(work.timers.corrections.known) == 3

    work.store({})
    work.timers.keep({0, 1})

    assert set(work.timers.corrections.known) == {b"conv_1"}


async def test_a_value_that_cannot_be_read_is_armed_as_it_says() -> None:
    work = Clockwork()

    work.timers.arm(KEY, 0, WRITTEN_MS, WRITTEN_MS)

    assert work.timers.due == {KEY: (WRITTEN_MS, 0)}


@given(
    wait_ms=st.integers(0, 2 * HOUR_MS),
    ahead_ms=st.integers(-HOUR_MS, HOUR_MS),
    later_ms=st.integers(-HOUR_MS, HOUR_MS),
)
def test_a_correction_is_never_later_than_the_state_and_never_grows(
    wait_ms: int, ahead_ms: int, later_ms: int
) -> None:
    corrections, due_ms = Corrections(), NOW_MS + ahead_ms + wait_ms
    first = corrections.learn(KEY, {"burst": due_ms}, ahead_ms)
    again = corrections.learn(KEY, {"burst": due_ms}, later_ms)

    assert first == (NOW_MS + wait_ms if ahead_ms > SKEW_MS else due_ms)
    assert again is not None
    assert again <= first <= due_ms
