"""Who uses the settings that were published: waits until every live process does."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Protocol

from sinks.processes import Process

POLL_S: Final = 0.1


class Rows(Protocol):
    """Where processes report (``sinks.processes.Processes``)."""

    async def all(self) -> tuple[Process, ...]:
        """Return every process."""


@dataclass(frozen=True, slots=True)
class Applied:
    """How far the live processes have come.

    Attributes:
        live: Every process that is taken for alive.
        late: Those of them that have not applied all of it.
    """

    live: tuple[Process, ...]
    late: tuple[Process, ...]


async def applied(rows: Rows, end: int, *, deadline_s: float, poll_s: float = POLL_S) -> Applied:
    """Wait until every live process has applied all settings; a dead one is not waited for.

    Args:
        rows: What the processes report.
        end: Offset of ``tenant.settings.changed`` below which all must be applied.
        deadline_s: Seconds after which it waits no longer.
        poll_s: Seconds between two looks.

    Returns:
        The processes at the last look; none of them is late, or the deadline is over.

    Raises:
        Unavailable: Postgres is down.
    """
    deadline = time.monotonic() + deadline_s
    while True:
        live = tuple(process for process in await rows.all() if process.live)
        late = tuple(process for process in live if process.settings_offset < end)
        if not late or time.monotonic() >= deadline:
            return Applied(live, late)
        await asyncio.sleep(poll_s)
