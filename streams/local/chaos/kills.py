"""Kills (SIGKILL) each of our own processes once while a load is being sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from streams.local.load.run import Sender
from streams.local.stack import Stack

LOOK_S: Final = 0.02
SPARED: Final = ("kafka", "registry", "postgres", "redis", "simulator", "model")
"""Real parts and the outside world; other faults are theirs."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One process that was killed and started again.

    Attributes:
        part: Its name.
        sent: Messages that had been sent when it was killed.
        unsent: Messages of the plan that had not.
        before: Its process id when it was killed.
        after: The process id of the one that took its place.
    """

    part: str
    sent: int
    unsent: int
    before: int
    after: int


def victims(names: Sequence[str]) -> list[str]:
    """Return the parts of a stack that are ours, by their names, in a fixed order."""
    return sorted(
        name for name in names if name not in SPARED and not name.startswith(("kafka-", "seed"))
    )


async def kill_each(
    stack: Stack, parts: Sequence[str], sender: Sender, total: int, say: Say
) -> list[Kill]:
    """Kill each part at an even share of the load, and start it again at once.

    A part that is killed next does not wait until the one before is ready again.
    """
    revivals = []
    async with asyncio.TaskGroup() as tasks:
        for number, part in enumerate(parts, 1):
            share = total * number // (len(parts) + 1)
            while len(sender.sent) < share:  # noqa: ASYNC110 - the sender knows nothing of faults
                await asyncio.sleep(LOOK_S)
            sent, before = len(sender.sent), stack.pid(part)
            await stack.kill(part)
            say(f"killed {part} ({before}) after {sent} messages")
            revivals.append(
                tasks.create_task(_revived(stack, part, sent, total - sent, before=before))
            )
    return [revival.result() for revival in revivals]


async def _revived(stack: Stack, part: str, sent: int, unsent: int, *, before: int) -> Kill:
    await stack.start(part)
    return Kill(part=part, sent=sent, unsent=unsent, before=before, after=stack.pid(part))


def unreal(kills: Sequence[Kill], parts: Sequence[str]) -> list[str]:
    """Say which planned faults did not happen in the middle of the load."""
    told = {kill.part: kill for kill in kills}
    return [
        part
        for part in parts
        if part not in told
        or told[part].before == told[part].after
        or not told[part].sent
        or not told[part].unsent
    ]
