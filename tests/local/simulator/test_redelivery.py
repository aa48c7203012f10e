from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.local.simulator import redelivery as module
from streams.local.simulator.redelivery import DAY_MS, Redeliveries, pause_ms
from tests.local.simulator.surroundings import Clock, WatchedClock, Webhook

FOUR_HOURS_MS = 4 * 3_600_000


async def settled(again: Redeliveries) -> None:
    """Begin what is due, and wait for its end."""
    again.begin()
    await asyncio.gather(*again.posting)


async def tries(clock: Clock, webhook: Webhook, longest_ms: int) -> list[int]:
    """Let our webhook refuse a body for ever; return when each try came, in milliseconds."""
    again = Redeliveries(webhook.post, clock)
    again.longest_ms = longest_ms
    began, came = clock.now, []
    again.refused(b"{}", lambda _number, _status: came.append(clock.now - began))
    while again.due:
        clock.now = again.due[0][0]
        await settled(again)
    assert again.dropped == 1
    return came


async def test_a_body_is_tried_less_and_less_often_and_dropped_after_seven_days(
    clock: Clock,
) -> None:
    webhook = Webhook()
    webhook.answers = [503] * 1000

    came = await tries(clock, webhook, FOUR_HOURS_MS)

    pauses = [after - before for before, after in zip([0, *came], came, strict=False)]
    assert came[0] <= 200, "the first one at once"
    assert pauses == sorted(pauses)
    assert pauses[-1] == FOUR_HOURS_MS
    assert 7 * DAY_MS - FOUR_HOURS_MS < came[-1] <= 7 * DAY_MS
    assert len(came) == len(webhook.bodies)


async def test_nobody_looks_for_what_is_due_while_nothing_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0)
    webhook, clock = Webhook(), WatchedClock()
    again = Redeliveries(webhook.post, clock)
    task = asyncio.create_task(again.run())
    for _ in range(50):
        await asyncio.sleep(0)
    assert not clock.looks

    again.refused(b"{}")
    clock.now += DAY_MS
    async with asyncio.timeout(10):
        while not webhook.bodies:  # noqa: ASYNC110 - counters are watched, not events
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_body_is_not_tried_again_once_it_was_taken(clock: Clock) -> None:
    webhook = Webhook()
    webhook.answers = [500, 0]
    again = Redeliveries(webhook.post, clock)
    again.refused(b"{}")
    for _ in range(20):
        clock.now += DAY_MS
        await settled(again)

    assert len(webhook.bodies) == 3
    assert (again.dropped, again.waiting) == (0, 0)


async def test_a_jump_of_the_clock_brings_one_try_not_many(clock: Clock) -> None:
    webhook = Webhook()
    webhook.answers = [503] * 1000
    again = Redeliveries(webhook.post, clock)
    again.refused(b"{}")

    clock.now += 3 * DAY_MS
    await settled(again)

    assert len(webhook.bodies) == 1
    assert again.waiting == 1


@given(st.integers(1, 10_000), st.integers(200, FOUR_HOURS_MS))
def test_pauses_grow_up_to_the_longest(number: int, longest_ms: int) -> None:
    assert 200 <= pause_ms(number, longest_ms) <= pause_ms(number + 1, longest_ms) <= longest_ms
