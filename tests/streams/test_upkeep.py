"""What nothing asks for any more goes, in the background, and not a day too early."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from schemas.errors import Unavailable
from schemas.topics import DAY_MS, TOPICS
from sinks.pruning import BATCHES, KEPT_DAYS, SQL
from streams.kafka.provision import DLQ_RETENTION_MS
from streams.upkeep import Upkeep

SEGMENT_DAYS = 7
"""Kafka's ``log.roll.hours``: a record lives until the segment that it is in may go."""


class Table:
    """Has so many old rows of each kind; may be down."""

    def __init__(self, **old: int) -> None:
        self.old = old
        self.asked: list[str] = []
        self.down: list[Exception] = []
        self.changed = asyncio.Condition()

    async def prune(self, rows: str, /) -> int:
        async with self.changed:
            self.asked.append(rows)
            self.changed.notify_all()
        if self.down:
            raise self.down.pop(0)
        gone = min(self.old[rows], 10)
        self.old[rows] -= gone
        return gone

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(lambda: len(self.asked) >= times)


@contextlib.asynccontextmanager
async def kept_up(table: Table) -> AsyncIterator[None]:
    upkeep = Upkeep(table, dict.fromkeys(table.old, 10), every_s=0.001, pause_s=0.0)
    upkeep.start()
    try:
        yield
    finally:
        await upkeep.stop()


async def test_all_that_is_old_goes_a_batch_at_a_time() -> None:
    table = Table(claims=25, raw_parts=10)

    with capture_logs() as logs:
        async with kept_up(table):
            await table.until_asked(6)

    assert table.asked[:5] == ["claims", "claims", "claims", "raw_parts", "raw_parts"]
    assert table.old == {"claims": 0, "raw_parts": 0}
    assert [(each["rows"], each["gone"]) for each in logs if each["event"] == "upkeep.done"] == [
        ("claims", 25),
        ("raw_parts", 10),
    ]


@pytest.mark.parametrize("down", [Unavailable("postgres"), KeyError("55119")])
async def test_what_fails_is_tried_again_later_and_holds_nothing_up(down: Exception) -> None:
    table = Table(claims=5, raw_parts=5)
    table.down = [down]

    with capture_logs() as logs:
        async with kept_up(table):
            await table.until_asked(4)

    assert table.asked[:3] == ["claims", "raw_parts", "claims"]
    assert table.old == {"claims": 0, "raw_parts": 0}
    (failed,) = [each for each in logs if each["event"] == "upkeep.failed"]
    assert "55119" not in str(failed)


def test_a_claim_outlives_every_delivery_of_its_event() -> None:
    """On its topic, as a dead letter, and on its topic again."""
    days = [topic.retention_ms // DAY_MS for topic in TOPICS if not topic.compacted]
    longest = max(*days, DLQ_RETENTION_MS // DAY_MS)

    assert 3 * (longest + SEGMENT_DAYS) < KEPT_DAYS


def test_every_kind_of_rows_has_its_statement() -> None:
    assert SQL.keys() == BATCHES.keys()
