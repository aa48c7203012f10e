"""The books of a seat, when partitions come while they are being opened."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import SimpleNamespace

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from streams.consumer.account import Account
from streams.consumer.seat import Lost, Seat
from tests.streams.loop.toy import toy_settings

KEPT, COME = TopicPartition("books", 0), TopicPartition("books", 1)
AT = 17


class Group:
    """A member of a group whose coordinator answers when it is let."""

    def __init__(self) -> None:
        self.mine = {KEPT}
        self.answers = asyncio.Event()
        self.told: dict[TopicPartition, OffsetAndMetadata] = {}
        self._coordinator = self

    def assignment(self) -> set[TopicPartition]:
        return set(self.mine)

    async def fetch_committed_offsets(
        self, places: set[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        await self.answers.wait()
        return {place: OffsetAndMetadata(AT, "") for place in places}

    async def beginning_offsets(self, _: object) -> dict[TopicPartition, int]:
        return {}

    async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        self.told |= offsets


async def test_what_was_read_of_partitions_that_came_meanwhile_can_be_committed() -> None:
    group = Group()
    seat = Seat(["books"], "toy.books", toy_settings("nowhere:1"))
    seat.consumer = group
    seat.assignments = 1
    opening = asyncio.create_task(seat.open())
    await asyncio.sleep(0)

    seat.assignments, group.mine = 2, {KEPT, COME}
    read = seat.auditor.accounts.setdefault(COME, Account(AT))
    read.told(AT, AT + 2, [(AT, AT + 2)])  # the broker has answered for it already
    group.answers.set()

    with suppress(Lost):
        await opening
    await seat.open()
    records = [
        SimpleNamespace(topic=COME.topic, partition=COME.partition, offset=offset, value=b"")
        for offset in (AT, AT + 1)
    ]
    seat.take({COME: records})
    for record in records:
        seat.finish(record)
    await seat.commit([COME])
    assert group.told[COME].offset == AT + 2
