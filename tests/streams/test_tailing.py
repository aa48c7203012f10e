from __future__ import annotations

import gc

import pytest
from aiokafka.errors import KafkaConnectionError

from schemas.errors import Unavailable
from streams.deadletters.redriving import Desk
from streams.kafka import tailing
from streams.kafka.tailing import Tail

NOBODY = "127.0.0.1:1"


async def test_nothing_stays_open_of_one_that_was_not_opened() -> None:
    Tail(NOBODY, client_id="never entered")

    with pytest.raises(Unavailable):
        async with Tail(NOBODY, client_id="found nobody"):
            pass

    gc.collect()  # an open consumer warns at its end, and a warning is an error here


class Falling:
    """A consumer whose brokers go away once it has connected."""

    def __init__(self, **_: object) -> None:
        self._client = self
        self.stopped = False
        FALLING.append(self)

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, _: object) -> None:
        """Take any partition."""

    async def fall(self, *_: object) -> None:
        raise KafkaConnectionError

    fetch_all_metadata = beginning_offsets = end_offsets = fall


FALLING: list[Falling] = []


async def test_brokers_that_go_away_are_told_as_such_at_every_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tailing, "AIOKafkaConsumer", Falling)

    async with Tail(NOBODY, client_id="falls") as tail:
        with pytest.raises(Unavailable):
            await tail.partitions(["t"])
        with pytest.raises(Unavailable):
            await tail.follow([("t", 0)])
        with pytest.raises(Unavailable):
            async for _ in tail.catch_up():
                pass


async def test_a_desk_that_does_not_open_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tailing, "AIOKafkaConsumer", Falling)
    FALLING.clear()

    with pytest.raises(Unavailable):
        async with Desk(NOBODY):
            pass

    assert [each.stopped for each in FALLING] == [True, True]
