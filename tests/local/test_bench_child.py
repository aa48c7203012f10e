from __future__ import annotations

import asyncio
import contextlib
import sys

import pytest

from schemas.errors import PipelineError
from streams.local.bench.child import Child
from streams.local.stack.process import Identity, until
from streams.settings import environment

DEADLINE_S = 30.0
ORPHAN = """
import asyncio, os, signal
from streams.local.bench.child import Child
async def run():
    told = {**os.environ, "PYTHONUNBUFFERED": "1"}
    child = await Child.start(told, "http.server", "--bind", "127.0.0.1", "0")
    await child.said()  # it serves
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(run())
"""


async def read_on(child: Child) -> None:
    while await child.said():
        pass


async def test_a_child_that_ended_instead_of_answering_is_told() -> None:
    child = await Child.start(environment(), "this")

    with pytest.raises(PipelineError, match="this ended with 0"):
        await read_on(child)


async def test_a_child_ends_when_its_parent_orders_no_more() -> None:
    child = await Child.start(environment(), "json.tool")

    child.check()
    await child.stop()

    with pytest.raises(PipelineError, match=r"json\.tool ended with 1"):  # it had nothing to show
        child.check()


async def test_a_child_does_not_outlive_a_parent_that_was_killed() -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ORPHAN), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await parent.communicate()  # its output ends with the last process that has it

    assert told.strip().isdigit(), f"the parent died before its child served: {told!r}"
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(until(lambda: Identity.of(int(told)) is None), DEADLINE_S)
    assert Identity.of(int(told)) is None, "the child lives on, though its parent was killed"
