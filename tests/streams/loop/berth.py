"""The consumer of production on a log in memory: what it fetches, hands on and commits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from aiokafka.structs import ConsumerRecord
from faust.types import TP

from streams.clock import WallClock
from streams.consumer.faustapp import SafeApp
from streams.consumer.transport import SafeConsumer
from streams.engine import Engine
from tests.streams.loop.fakes import NAMES, FakePublisher
from tests.streams.loop.toy import JsonCodec, Toys, toy_settings

BATCH = 200
"""Most records of one fetch."""


@dataclass
class Log:
    """Stands in for ``InLoopConsumer`` and its broker.

    Attributes:
        lengths: How many records each partition holds.
        positions: What the client would fetch next.
        committed: What the group has committed.
        fetched: Every partition that was ever asked for.
        left_out: What is assigned and not to be fetched.
        partitions: How many partitions the client knows of each topic.
    """

    lengths: dict[TP, int]
    positions: dict[TP, int] = field(default_factory=dict)
    committed: dict[TP, int] = field(default_factory=dict)
    fetched: set[TP] = field(default_factory=set)
    left_out: set[TP] = field(default_factory=set)
    partitions: int = 4
    consumer: Any = None

    def assignment(self) -> set[TP]:
        return set(self.lengths)

    async def getmany(self, active: set[TP], _: float) -> dict[TP, list[Any]]:
        found: dict[TP, list[Any]] = {}
        self.fetched |= active
        for tp in sorted(active):
            begin = self.positions.get(tp, 0)
            end = min(begin + BATCH, self.lengths[tp])
            if begin < end:
                found[tp] = [_record(tp, offset) for offset in range(begin, end)]
                self.positions[tp] = end
                if (account := self.consumer.auditor.accounts.get(tp)) is not None:
                    account.told(begin, end, [(begin, end)])
        await asyncio.sleep(0)
        return found

    async def call_thread(self, call: Callable[..., Any], *args: Any) -> None:
        await call(*args)

    def seek(self, place: Any, offset: int) -> None:
        self.positions[TP(place.topic, place.partition)] = offset

    async def seek_to_committed(self) -> dict[TP, int | None]:
        """Set the positions as aiokafka does: not where nothing, or offset 0, was committed."""
        self.positions |= {tp: at for tp, at in self.committed.items() if at}
        return {tp: self.committed.get(tp) for tp in self.lengths}

    async def earliest_offsets(self, *places: TP) -> dict[TP, int]:
        return dict.fromkeys(places, 0)

    def highwater(self, tp: TP) -> int:
        return self.lengths[tp]

    async def highwaters(self, *places: TP) -> dict[TP, int]:
        return {tp: self.lengths[tp] for tp in places}

    async def commits(self, _: set[TP]) -> dict[TP, Any]:
        return {}

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        if not offsets.keys() <= self.lengths.keys():
            return False  # as a broker does that has given the partition to another member
        self.committed |= offsets
        return True

    def partition_count(self, _: str) -> int:
        return self.partitions

    def check(self) -> None:
        """Find nothing wrong with the place in the group."""

    def pace(self, moved: bool) -> None:
        """Fetch as fast as it goes."""

    def regroup(self) -> None:
        """Ask nobody."""

    def leave_out(self, partitions: set[TP]) -> None:
        self.left_out = partitions


def _record(tp: TP, offset: int) -> Any:
    return ConsumerRecord(tp.topic, tp.partition, offset, 0, 0, b"k", b"v", 0, 1, 1, ())


@dataclass
class Room:
    """Takes records as lanes do.

    Attributes:
        taken: Messages taken and not settled, oldest first.
        offsets: Where the messages stood that were ever taken, in order.
        full: Offsets that find no room, and how often.
        at: Called when the message of an offset was taken.
    """

    consumer: SafeConsumer
    taken: list[Any] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    full: dict[int, int] = field(default_factory=dict)
    at: dict[int, Callable[[], object]] = field(default_factory=dict)
    held: Iterable[TP] = ()

    def __hash__(self) -> int:
        return id(self)

    def take(self, message: Any) -> bool:
        if self.full.get(message.offset, 0):
            self.full[message.offset] -= 1
            return False
        self.taken.append(message)
        self.offsets.append(message.offset)
        self.at.pop(message.offset, lambda: None)()
        return True

    def settle(self, *offsets: int) -> None:
        for message in [m for m in self.taken if m.offset in offsets]:
            self.taken.remove(message)
            self.consumer.settle(message)

    async def drain(self, _: float) -> int:
        self.settle(*[message.offset for message in self.taken])
        return 0

    async def cancel(self) -> None:
        self.taken.clear()


class Berth:
    """A consumer that is assigned every partition of its log, and where its records go."""

    def __init__(self, lengths: dict[TP, int]) -> None:
        publisher = FakePublisher()
        self.engine = Engine(
            toy_settings("127.0.0.1:1"),
            Toys(NAMES).stages(),
            JsonCodec(),
            publisher,
            clock=WallClock(),
        )
        self.app: SafeApp = self.engine.app
        self.app.consumer_generation_id = 1
        self.consumer = self.app.safe_consumer
        self.log = Log(lengths, consumer=self.consumer)
        self.consumer._thread = self.log  # type: ignore[assignment] # has what is asked of it here
        self.room = Room(self.consumer)
        self.app.intakes = {tp.topic: self.room for tp in lengths}
        self.app.families = [frozenset(tp.topic for tp in lengths)]
        self.consumer._active_partitions = set(lengths)

    async def assigned(self) -> None:
        """Begin where the group has committed."""
        await self.consumer.perform_seek()

    async def run_until(self, condition: Callable[[], bool]) -> None:
        """Fetch and deliver until the condition holds; fails if it never does."""
        fetcher = SimpleNamespace(should_stop=False)
        draining = asyncio.ensure_future(self.consumer._drain_messages(fetcher))
        try:
            for _ in range(2000):
                if condition():
                    return
                await asyncio.sleep(0)
            raise AssertionError(f"it never came to that; taken: {self.room.offsets}")
        finally:
            fetcher.should_stop = True
            self.consumer.resume_flow()
            await asyncio.wait({draining})
            draining.result()
