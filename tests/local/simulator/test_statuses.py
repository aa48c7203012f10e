from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from streams.local.simulator import Simulator
from streams.local.simulator import postman as postman_module
from streams.local.simulator.book import Entry
from streams.local.simulator.course import usual
from streams.local.simulator.postman import Postman
from streams.local.simulator.redelivery import Redeliveries
from streams.local.simulator.webhook import UNREACHABLE, nowhere
from tests.local.simulator.surroundings import Clock, WatchedClock, Webhook

SENT = usual(("sent",))


def entry(number: int = 1, phone: str = "111", to: str = "5511999990001") -> Entry:
    return Entry(
        number=number,
        phone_number_id=phone,
        to=to,
        wamid=f"wamid.{number}",
        type="text",
        text="Olá",
        callback_data=f"v1|demo|conv|cust|bubble-{number}|1",
        bubble_id=f"bubble-{number}",
        attempt=1,
        at_ms=1_700_000_000_000,
    )


def told(body: bytes) -> list[tuple[str, str, str]]:
    """Return (business number, wamid, status) of every status of a body."""
    return [
        (change["value"]["metadata"]["phone_number_id"], status["id"], status["status"])
        for change in orjson.loads(body)["entry"][0]["changes"]
        for status in change["value"]["statuses"]
    ]


def postman_of(webhook: Webhook, clock: Clock) -> Postman:
    return Postman(webhook.post, Redeliveries(webhook.post, clock), clock)


async def run_until(postman: Postman, done: Callable[[], bool]) -> None:
    task = asyncio.create_task(postman.run())
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 - counters are watched, not events
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_each_message_is_told_sent_delivered_and_read() -> None:
    webhook, clock = Webhook(), Clock()
    postman = postman_of(webhook, clock)
    postman.promise(entry(), usual())
    clock.now += 1000
    await run_until(postman, lambda: postman.waiting == 0)

    assert [t for body in webhook.bodies for t in told(body)] == [
        ("111", "wamid.1", "sent"),
        ("111", "wamid.1", "delivered"),
        ("111", "wamid.1", "read"),
    ]


async def test_nobody_looks_for_statuses_while_none_is_promised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    webhook, clock = Webhook(), WatchedClock()
    monkeypatch.setattr(postman_module, "BATCH_S", 0)
    postman = postman_of(webhook, clock)
    task = asyncio.create_task(postman.run())
    for _ in range(50):
        await asyncio.sleep(0)
    assert not clock.looks

    postman.promise(entry(), SENT)
    clock.now += 1000
    async with asyncio.timeout(10):
        while not webhook.bodies:  # noqa: ASYNC110 - counters are watched, not events
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_statuses_give_the_callback_data_back() -> None:
    clock = Clock()
    postman = postman_of(Webhook(), clock)
    postman.promise(entry(), SENT)
    postman.promise(entry(2, to="BR.12345"), SENT)
    clock.now += 1000
    taken = postman.take()

    assert [status["biz_opaque_callback_data"] for _, status in taken] == [
        "v1|demo|conv|cust|bubble-1|1",
        "v1|demo|conv|cust|bubble-2|1",
    ]
    assert taken[0][1]["recipient_id"] == "5511999990001"
    assert taken[1][1]["recipient_user_id"] == "BR.12345"


def test_statuses_that_are_not_due_wait() -> None:
    clock = Clock()
    postman = postman_of(Webhook(), clock)
    postman.promise(entry(), usual())
    clock.now += 40
    taken = postman.take()

    assert [status["status"] for _, status in taken] == ["sent", "delivered"]
    assert postman.waiting == 1


async def test_one_post_carries_many_statuses_of_many_numbers() -> None:
    webhook, clock = Webhook(), Clock()
    postman = postman_of(webhook, clock)
    for number in range(400):
        postman.promise(entry(number, phone=str(number % 3)), SENT)
    clock.now += 1000
    await run_until(postman, lambda: postman.waiting == 0)

    assert len(webhook.bodies) == 1
    assert len(told(webhook.bodies[0])) == 400


async def test_a_refused_post_is_repeated_as_it_was() -> None:
    webhook, clock = Webhook(), Clock()
    webhook.answers = [503, 500, UNREACHABLE]
    simulator = Simulator(webhook.post, clock, seed=7)
    simulator.postman.promise(entry(), SENT)
    task = asyncio.create_task(simulator.run())
    async with asyncio.timeout(10):
        while simulator.postman.waiting:
            clock.now += 1000
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert len(webhook.bodies) == 4
    assert len(set(webhook.bodies)) == 1
    assert simulator.again.retried == 3


def test_without_a_webhook_nothing_is_promised() -> None:
    postman = Postman(None, Redeliveries(nowhere, Clock()), Clock())
    postman.promise(entry(), usual())

    assert postman.waiting == 0


def test_too_many_waiting_statuses_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postman_module, "WAITING_MAX", 2)
    postman = postman_of(Webhook(), Clock())
    for number in range(3):
        postman.promise(entry(number), usual())

    figures: dict[str, Any] = {"waiting": postman.waiting, "dropped": postman.dropped}
    assert figures == {"waiting": 3, "dropped": 2}
