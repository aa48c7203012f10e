"""What the feed says after Redis was away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest
from redis.exceptions import ConnectionError as RedisGone

from sinks.changes import Changes, Key
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
