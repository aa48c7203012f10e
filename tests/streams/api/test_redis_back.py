"""Redis has restarted: what the feed says reaches the API processes, which come back by and by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from redis.exceptions import ConnectionError as RedisGone
from structlog.testing import capture_logs

from streams.api.dialect import Emit
from streams.api.feed import CHANNEL, Bus
from streams.api.rooms import feed_server

NOWHERE = "redis://127.0.0.1:1/0"
EMIT = Emit("company-1-ticket", {"action": "delete", "ticketId": 7}, ("company-1-open",))


class Redis:
    """Redis as the writer sees it: how many listen, at each publishing and at each look."""

    def __init__(self, published: list[list[int]], looks: list[int]) -> None:
        self.published = published
        self.looks = looks
        self.sent = 0

    def pipeline(self, *, transaction: bool) -> Redis:
        assert not transaction
        return self

    def publish(self, channel: str, _: bytes) -> None:
        assert channel == CHANNEL
        self.sent += 1

    async def execute(self) -> list[int]:
        return self.published.pop(0)

    async def pubsub_numsub(self, channel: str) -> list[tuple[bytes, int]]:
        return [(channel.encode(), self.looks.pop(0))]


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


def bus_of(redis: Redis) -> Bus:
    bus = Bus(NOWHERE)
    bus.redis, bus.connected = redis, True
    return bus


@pytest.mark.usefixtures("sleeps")
async def test_what_not_all_heard_is_sent_again_when_they_are_back() -> None:
    redis = Redis([[2], [1], [2]], looks=[0, 1, 2])
    bus = bus_of(redis)

    await bus.send([EMIT])
    await bus.send([EMIT])

    assert (redis.sent, redis.looks, redis.published) == (3, [], [])


async def test_an_api_process_that_has_ended_is_waited_for_once(sleeps: list[float]) -> None:
    redis = Redis([[2], [1], [1]], looks=[1] * 100)
    bus = bus_of(redis)

    await bus.send([EMIT])
    await bus.send([EMIT])
    waited = sum(sleeps)
    await bus.send([EMIT])

    assert redis.sent == 3
    assert 0 < waited == sum(sleeps) <= 10


async def test_without_consoles_nobody_is_waited_for(sleeps: list[float]) -> None:
    bus = bus_of(Redis([[0], [0]], looks=[]))

    await bus.send([EMIT])
    await bus.send([EMIT])

    assert not sleeps


class Listening:
    """A subscription that cannot be made the first few times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.closed = 0

    async def subscribe(self, channel: str) -> None:
        assert channel == CHANNEL
        if self.failures:
            self.failures -= 1
            raise RedisGone

    async def listen(self) -> AsyncIterator[Any]:
        yield {"type": "message"}

    async def aclose(self) -> None:
        self.closed += 1


def listened(pubsub: Listening, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what an API process hears through a subscription."""
    server, _ = feed_server(NOWHERE, cast("Any", None), b"key")
    manager = server.manager

    def connect() -> None:
        manager.redis, manager.pubsub = pubsub, pubsub

    monkeypatch.setattr(manager, "_redis_connect", connect)
    return manager._redis_listen_with_retries()


async def test_an_api_process_listens_again_within_a_second(
    sleeps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long Redis was away: what is said meanwhile is heard by nobody."""
    heard = listened(Listening(failures=9), monkeypatch)

    assert await anext(heard) == {"type": "message"}
    assert len(sleeps) == 9
    assert max(sleeps) <= 1
    await heard.aclose()


@pytest.mark.usefixtures("sleeps")
async def test_each_outage_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pubsub = Listening(failures=3)
    heard = listened(pubsub, monkeypatch)

    with capture_logs() as first:
        await anext(heard)
        pubsub.failures = 3  # it is gone again as soon as it has said something
    with capture_logs() as second:
        await anext(heard)
    await heard.aclose()

    assert [[line["event"] for line in told] for told in (first, second)] == [["feed.deaf"]] * 2
