"""A machine that slept was away as a process that was frozen is: others have its partitions."""

from __future__ import annotations

import asyncio
import time

import pytest

from streams.watch.pulse import Fenced, Pulse


class Group:
    consumer_generation_id = 1


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="no such clock on this system")
async def test_nothing_is_written_after_the_machine_slept_until_membership_is_proved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``time.monotonic`` does not count the time for which Linux is suspended."""
    member, asleep_s, clock = False, 0.0, time.clock_gettime

    def clock_gettime(which: int) -> float:
        return clock(which) + (asleep_s if which == time.CLOCK_BOOTTIME else 0.0)

    async def prove() -> bool:
        return member

    monkeypatch.setattr(time, "clock_gettime", clock_gettime)
    pulse = Pulse(prove, limit_s=60.0)
    await pulse.fence(Group(), 1)

    asleep_s = 3600.0
    with pytest.raises(Fenced):
        await pulse.fence(Group(), 1)

    member = True
    await pulse.fence(Group(), 1)


async def test_all_who_wait_for_one_proof_take_its_answer_and_ask_the_broker_once() -> None:
    asked = 0
    answers = [False, False, True]
    go_on = asyncio.Event()

    async def prove() -> bool:
        nonlocal asked
        asked += 1
        await go_on.wait()
        return answers[asked - 1]

    pulse = Pulse(prove, limit_s=60.0)
    pulse.suspect = True

    async def told() -> list[bool]:
        waiting = [asyncio.ensure_future(pulse.trusted()) for _ in range(500)]
        await asyncio.sleep(0)
        go_on.set()
        return await asyncio.gather(*waiting)

    for expected in answers:
        go_on.clear()
        assert await told() == [expected] * 500

    assert asked == 3
