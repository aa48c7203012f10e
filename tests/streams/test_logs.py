from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import structlog

from streams.logs import _placed, about

ENDING = """
import asyncio, gc
from streams import logs

logs.configure("info", service="toy")

async def fails(said):
    raise ValueError(said)

async def main():
    task = asyncio.create_task(fails("my number is 5511987654321"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()
    asyncio.get_running_loop().call_soon(int, "my number is 5511987654321")
    await asyncio.sleep(0)

asyncio.run(main())
"""

RECORD = SimpleNamespace(topic="toy.said", partition=3, offset=17, value=b"secret")


def line(**said: Any) -> dict[str, Any]:
    return dict(_placed(structlog.get_logger(), "info", {"event": "e", **said}))


async def test_a_line_of_a_task_says_where_its_record_stands_and_nothing_else_of_it() -> None:
    async def handles() -> dict[str, Any]:
        about(RECORD)
        return line()

    there = await asyncio.create_task(handles())

    assert there == {"event": "e", "topic": "toy.said", "partition": 3, "offset": 17}
    assert line() == {"event": "e"}


async def test_what_a_line_says_itself_is_kept() -> None:
    async def handles() -> dict[str, Any]:
        about(RECORD)
        return line(topic="toy.other")

    assert (await asyncio.create_task(handles()))["topic"] == "toy.other"


def test_what_a_task_died_of_is_told_without_the_words_of_its_error() -> None:
    """asyncio writes the error itself, and what a callback was given, into its message."""
    ended = subprocess.run(  # noqa: S603 - the code above, no shell
        [sys.executable, "-c", ENDING], capture_output=True, text=True, check=True
    )

    died, failed = map(json.loads, ended.stderr.splitlines())

    assert "5511987654321" not in ended.stderr
    assert died["event"] == "Task exception was never retrieved"
    assert died["error"].startswith("ValueError at ")
    assert failed["event"] == "Exception in callback int"
