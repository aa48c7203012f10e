from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import structlog

from streams.logs import _placed, about

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
