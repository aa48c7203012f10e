from __future__ import annotations

from uuid import uuid4

import asyncpg
import pytest

from schemas.errors import Unavailable
from sinks.database import open_pool
from sinks.processes import KEPT_S, LIVE_S, Processes

pytestmark = pytest.mark.integration

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


async def aged(pool: asyncpg.Pool, process: str, seconds: float) -> None:
    """Let the last report of a process be so long ago."""
    await pool.execute(
        "UPDATE processes SET heartbeat_at = heartbeat_at - make_interval(secs => $2)"
        " WHERE process = $1",
        process,
        seconds,
    )


async def names(processes: Processes, *, live: bool) -> list[str]:
    return [each.process for each in await processes.all() if each.live is live]


async def test_a_process_is_known_by_its_newest_report(pool: asyncpg.Pool) -> None:
    processes, mine, other = Processes(pool), uuid4(), uuid4()
    await processes.report(mine, "twin", 3)
    await processes.report(other, "twin", 9)

    await processes.report(mine, "twin", 4)

    found = [each for each in await processes.all() if each.process == "twin"]
    assert [(each.settings_offset, each.live) for each in found] == [(4, True), (9, True)]


async def test_a_process_that_leaves_is_off_the_list(pool: asyncpg.Pool) -> None:
    processes, mine = Processes(pool), uuid4()
    await processes.report(mine, "leaver", 0)

    await processes.leave(mine)

    assert "leaver" not in {each.process for each in await processes.all()}


async def test_a_silent_process_is_dead_until_it_reports_again(pool: asyncpg.Pool) -> None:
    processes, mine = Processes(pool), uuid4()
    await processes.report(mine, "frozen", 1)

    await aged(pool, "frozen", LIVE_S)
    assert "frozen" in await names(processes, live=False)

    await processes.report(mine, "frozen", 1)
    assert "frozen" in await names(processes, live=True)


async def test_a_process_that_is_long_dead_is_forgotten(pool: asyncpg.Pool) -> None:
    processes = Processes(pool)
    await processes.report(uuid4(), "crashed", 1)
    await processes.report(uuid4(), "crashed-before", 1)
    await aged(pool, "crashed", LIVE_S)
    await aged(pool, "crashed-before", KEPT_S)

    await processes.report(uuid4(), "next", 1)

    found = {each.process for each in await processes.all()}
    assert {"crashed", "next"} <= found
    assert "crashed-before" not in found


async def test_a_report_without_postgres_is_an_error_of_ours() -> None:
    nowhere = await open_pool(NOWHERE)

    with pytest.raises(Unavailable):
        await Processes(nowhere).report(uuid4(), "lost", 0)

    await nowhere.close()
