"""What the feed says after Redis was away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest
from redis.exceptions import ConnectionError as RedisGone
from structlog.testing import capture_logs

from sinks.changes import Changes, Key, MessageChange
from streams.api import feed as feeding
from streams.api.dialect import Emit
from streams.api.feed import HelpdeskFeed

KEY: Key = ("acme", "conv_1")
NOWHERE = "redis://127.0.0.1:1/0"


class Tickets:
    """The rows; each look finds the next status, and the last one from then on."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)

    async def tickets(self, _: Iterable[Key]) -> dict[Key, Any]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        plain: dict[str, Any] = dict.fromkeys(
            ("contact_id", "contact_name", "contact_number", "channel_id", "agent_user")
        )
        return {
            KEY: plain
            | {"id": 7, "company": 1, "status": status, "unread": 0, "chatbot": False}
            | {"conversation_id": "conv_1", "last_message": "oi", "last_from_me": False}
            | {"phone_number_id": "1122", "first_ms": 1, "updated_ms": 1}
        }


class Bus:
    """Redis, away for the first tries."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.sent: list[Emit] = []
        self.done = asyncio.Event()

    async def send(self, emits: Iterable[Emit]) -> None:
        if self.failures:
            self.failures -= 1
            raise RedisGone
        self.sent += emits
        self.done.set()

    async def close(self) -> None: ...


async def test_what_was_read_before_redis_came_back_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Meanwhile another worker may have shown what has become of the ticket."""
    monkeypatch.setattr(feeding, "RETRY_S", 0.0)
    feed, bus = HelpdeskFeed(cast("Any", None), NOWHERE), Bus(failures=2)
    feed.conversations = cast("Any", Tickets("pending", "pending", "open"))
    feed.bus = cast("Any", bus)

    await feed.publish(Changes(moved={KEY: ("pending", None)}))
    async with asyncio.timeout(5):
        await bus.done.wait()
    await feed.stop()

    assert [emit.body["action"] for emit in bus.sent] == ["delete", "update"]
    assert bus.sent[1].body["ticket"]["status"] == "open"


def feed_to(bus: Bus) -> HelpdeskFeed:
    feed = HelpdeskFeed(cast("Any", None), NOWHERE)
    feed.conversations = cast("Any", Tickets("open"))
    feed.bus = cast("Any", bus)
    return feed


async def test_what_was_written_just_before_the_end_is_sent() -> None:
    """Its batch is committed: whoever has the partition then does not read it again."""
    bus = Bus(failures=0)
    feed = feed_to(bus)

    await feed.publish(Changes(moved={KEY: ("pending", None)}))
    await feed.stop()

    assert [emit.body["action"] for emit in bus.sent] == ["delete", "update"]


async def test_a_process_that_stops_while_redis_is_away_waits_for_a_moment_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeding, "LAST_S", 0.01)
    feed = feed_to(Bus(failures=1_000_000))

    with capture_logs() as lines:
        await feed.publish(Changes(moved={KEY: ("pending", None)}))
        await feed.publish(Changes(moved={KEY: ("open", None)}))
        async with asyncio.timeout(5):
            await feed.stop()

    (said,) = [line for line in lines if line["event"] == "feed.dropped"]
    assert said["batches"] == 2


async def test_what_waits_is_bounded_by_how_much_it_is_and_not_only_by_how_many_batches() -> None:
    """In a long outage under load each batch holds hundreds of messages."""

    def batch(number: int, messages: int) -> Changes:
        told = ("acme", f"conv_{number}")
        return Changes(
            messages=tuple(
                MessageChange(
                    tenant_id=told[0],
                    conversation_id=told[1],
                    id=str(each),
                    target_wamid=None,
                    kind="text",
                    created=True,
                )
                for each in range(messages)
            ),
            moved={told: ("open", None)},
        )

    feed = HelpdeskFeed(cast("Any", None), NOWHERE, most_changes=10)
    for number, messages in enumerate((4, 4, 4, 1, 50)):
        await feed.publish(batch(number, messages))
        if number == 3:
            assert [len(each.messages) for each in feed.waiting] == [4, 1]

    assert [len(each.messages) for each in feed.waiting] == [50]
    await feed.stop()


async def test_what_waits_is_bounded_by_how_many_batches_it_is() -> None:
    feed = HelpdeskFeed(cast("Any", None), NOWHERE, most=3)
    for number in range(10):
        await feed.publish(Changes(moved={("acme", str(number)): ("open", None)}))

    assert [next(iter(each.moved))[1] for each in feed.waiting] == ["7", "8", "9"]
    await feed.stop()
