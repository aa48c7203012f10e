"""What must be there before our processes start, made in one process: each one costs a second.

Topics, schemas and tables, then the demo's shop and the offsets of the layout that was asked for;
what is there already stays.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Final

from sinks.database import open_pool
from sinks.migrations import migrate
from streams.kafka import provision
from streams.kafka.groups import Groups
from streams.kafka.layouts import Layout, Layouts
from streams.local.demo.seed import fill, publish
from streams.local.stack.together import together
from streams.patience import patiently
from streams.settings import Settings

LEAVING_S: Final = 30.0
"""After a kill the brokers keep members of a group until their session ends."""
PATIENCE_S: Final = 60.0
"""A machine that starts a dozen processes at once may leave a request without an answer."""

Say = Callable[[str], None]


async def prepare(current: Settings, layout: Layout, today: dt.date, say: Say) -> None:
    """Make everything ready for the processes of a layout.

    Args:
        current: Where Kafka, the registry and Postgres are.
        layout: How the stages will run.
        today: Day from which the demo's orders are due.
        say: Is given one line about each thing that was done.

    Raises:
        Misconfigured: Something that is there is not as it must be, or workers still run.
        Unavailable: Something does not answer for long.
    """

    async def making() -> None:
        await together([_log(current, say), _database(current, today, say)])
        await together([publish(current), _offsets(current, layout, say)])

    await patiently("prepare", making, limit_s=PATIENCE_S)


async def _log(current: Settings, say: Say) -> None:
    changes = await provision.apply(current, execute=True)
    say(f"topics and schemas: {sum(change.fixable for change in changes)} put right")


async def _database(current: Settings, today: dt.date, say: Say) -> None:
    pool = await open_pool(current.postgres_dsn.get_secret_value())
    try:
        applied = await migrate(pool)
    finally:
        await pool.close()
    say(f"tables: {len(applied)} migrations")
    done = await fill(current, today)
    say(
        f"tenant demo: settings version {done.version}, {done.channels} numbers,"
        f" {done.passages} new passages"
    )


async def _offsets(current: Settings, layout: Layout, say: Say) -> None:
    layouts = Layouts(Groups(current.kafka_bootstrap))
    plan = await asyncio.to_thread(layouts.plan, layout, patience_s=LEAVING_S)
    for line in plan.lines():
        say(line)
    if plan:
        await asyncio.to_thread(layouts.execute, plan)
    say(f"offsets: {len(plan.moves)} moved to {layout}")
