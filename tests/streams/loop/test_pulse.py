"""A machine that slept was away as a process that was frozen is: others have its partitions."""

from __future__ import annotations

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
