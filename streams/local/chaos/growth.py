"""F12: somebody wants more partitions. The tool refuses it, and so does a worker that is told so.

Partitions that are there cannot be taken away again, so no topic grows in a run that goes on. What
ends a worker whose topics did grow is tested with brokers (``tests/streams/loop``).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from typing import Final

from streams.local.chaos.ground import Ground
from streams.local.chaos.schedule import Planned
from streams.local.chaos.witness import EVERY_TOPIC
from streams.local.stack.process import until

MORE: Final = 4
"""How many times the partitions that there are."""
SETTING: Final = "TOPIC_PARTITIONS"
REFUSAL: Final = "would move to other partitions"
"""What the tool and the worker say of it."""
PATIENCE_S: Final = 60.0


async def refused(ground: Ground, planned: Planned) -> dict[str, float | str]:
    """F12: the tool is to make four times the partitions, then a worker starts with the setting."""
    (part,) = planned.whom
    before = await _counts(ground)
    more = {SETTING: str(MORE * ground.current.topic_partitions)}
    by_tool = await _by_tool({**ground.stack.env, **more})
    await ground.stack.stop(part, back=True)
    by_worker = await _by_worker(ground, part, more)
    await ground.stack.start(part)
    return {
        "by_tool": by_tool,
        "by_worker": by_worker,
        "unchanged": before == await _counts(ground),
    }


async def _by_tool(env: Mapping[str, str]) -> bool:
    """Ask for the partitions; say whether that was refused, and why."""
    tool = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streams", "topics", "apply", "--execute"),
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await tool.communicate()
    return tool.returncode not in (0, None) and REFUSAL in said.decode()


async def _by_worker(ground: Ground, part: str, more: Mapping[str, str]) -> bool:
    """Start a worker that expects the partitions; say whether it ended with the reason."""
    stack, log = ground.stack, ground.stack.log(part)
    began = log.stat().st_size
    stack.launch(part, more)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(until(lambda: stack.ended(part) is not None), PATIENCE_S)
    if stack.ended(part) is None:
        await stack.kill(part)
        return False
    with log.open("rb") as file:
        file.seek(began)
        return stack.ended(part) != 0 and REFUSAL.encode() in file.read()


async def _counts(ground: Ground) -> int:
    """Return how many partitions the conversation topics have in all."""
    return len(await ground.witness.reading.ends(EVERY_TOPIC))
