from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from schemas.errors import Unavailable
from streams.tenancy.presence import Presence

SOON_S = 0.01
NEVER_S = 3600.0


class MemoryRows:
    """Keeps reports; may be down."""

    def __init__(self) -> None:
        self.reports: list[int] = []
        self.names: set[tuple[UUID, str]] = set()
        self.left: set[UUID] = set()
        self.asked = 0
        self.down: Exception | None = None
        self.changed = asyncio.Condition()

    async def report(self, process_id: UUID, process: str, settings_offset: int, /) -> None:
        async with self.changed:
            self.asked += 1
            self.changed.notify_all()
        if self.down is not None:
            raise self.down
        self.names.add((process_id, process))
        self.reports.append(settings_offset)

    async def leave(self, process_id: UUID, /) -> None:
        if self.down is not None:
            raise self.down
        self.left.add(process_id)

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(lambda: self.asked >= times)


async def test_a_process_is_on_the_list_before_it_reads() -> None:
    rows = MemoryRows()
    presence = Presence(rows, "p", heartbeat_s=NEVER_S)

    await presence.join()

    assert rows.reports == [0]
    await presence.leave()


async def test_what_is_in_use_is_reported_at_once_and_only_once() -> None:
    rows = MemoryRows()
    presence = Presence(rows, "p", heartbeat_s=NEVER_S)
    await presence.join()

    presence.reached(5)
    await rows.until_asked(2)
    presence.reached(5)
    presence.reached(7)
    await rows.until_asked(3)

    assert rows.reports == [0, 5, 7]
    await presence.leave()


async def test_it_goes_on_telling_that_it_lives() -> None:
    rows = MemoryRows()
    presence = Presence(rows, "p", heartbeat_s=SOON_S)
    await presence.join()

    await rows.until_asked(4)
    await presence.leave()

    assert set(rows.reports) == {0}
    assert rows.names == {(presence.process_id, "p")}
    assert rows.left == {presence.process_id}


@pytest.mark.parametrize("down", [Unavailable("postgres"), LookupError("nobody foresaw it")])
async def test_whatever_postgres_answers_stops_nothing_and_is_made_good_afterwards(
    down: Exception,
) -> None:
    rows = MemoryRows()
    rows.down = down
    presence = Presence(rows, "p", heartbeat_s=SOON_S)
    await presence.join()
    presence.reached(5)
    await rows.until_asked(3)
    assert rows.reports == []

    rows.down = None
    await rows.until_asked(rows.asked + 2)

    assert set(rows.reports) == {5}
    rows.down = down
    await presence.leave()


async def test_leaving_without_having_joined_changes_nothing() -> None:
    rows = MemoryRows()

    await Presence(rows, "p").leave()

    assert (rows.asked, rows.left) == (0, set())
