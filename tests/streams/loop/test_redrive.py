"""Parked by a bug, mended, redriven under kill -9: everything once, in order, on a real broker."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from schemas.events import HandoffRequested
from streams.deadletters.letters import Standing
from streams.deadletters.redriving import Desk, End
from streams.local.stack import Stack
from streams.settings import environment
from tests.streams.loop.harness import create, everything, publish, publishing, toys, until
from tests.streams.loop.redrive import desk_of
from tests.streams.loop.toy import JsonCodec, Names, received

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
MESSAGES = 12
KEY = b"conv_0"


async def asked(bootstrap: str, names: Names, conversation: str) -> list[str]:
    """What was decided of a conversation, in order; the same event twice is one."""
    found: dict[str, str] = {}
    for record in await everything(bootstrap, names.asked.name):
        event = JsonCodec().decode(record.value)
        assert isinstance(event, HandoffRequested)
        if event.conversation_id == conversation:
            found[event.event_id] = event.turn_id
    return list(found.values())


async def said(bootstrap: str, names: Names, conversation: str) -> int:
    records = await everything(bootstrap, names.said.name)
    events = [JsonCodec().decode(record.value) for record in records]
    return len({e.event_id for e in events if e.conversation_id == conversation})


async def killed_redrive(bootstrap: str, names: Names, records: int) -> int | None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "tests/streams/loop/redrive.py"), bootstrap, names.run),
        *(KEY.decode(), str(records)),
        cwd=ROOT,
        env={**environment(), "PYTHONPATH": str(ROOT)},
    )
    return await process.wait()


async def waiting(desk: Desk) -> int:
    """Look; return how many letters wait."""
    await desk.look()
    return sum(each.standing(desk.flags) is Standing.WAITING for each in desk.letters)


async def park(publisher: Any, names: Names, numbers: range) -> None:
    for number in numbers:
        await publish(publisher, received(names, 0, number), received(names, 1, number))


async def test_a_parked_conversation_is_redriven_once_and_in_order_whoever_is_killed(
    stack: Stack, tmp_path: Path
) -> None:
    bootstrap, names = stack.kafka_bootstrap, Names(uuid4().hex[:8])
    create(bootstrap, names)
    every = [f"wamid.0.{number}" for number in range(MESSAGES + 1)]
    async with (
        publishing(bootstrap) as publisher,
        toys(bootstrap, names, tmp_path) as start,
        desk_of(bootstrap, names) as desk,
    ):
        broken = await start("broken", bugs=["wamid.0.1"])
        await park(publisher, names, range(MESSAGES))

        async def others_flow() -> bool:
            return await said(bootstrap, names, "conv_1") == MESSAGES

        await until(others_flow, "the other conversation")
        await until(lambda: _at_least(desk, MESSAGES - 1), "what is set aside")
        assert await asked(bootstrap, names, "conv_0") == every[:1]
        assert await broken.stop() == 0

        mended = await start("mended")
        await mended.ready()
        first = await killed_redrive(bootstrap, names, 4)
        await publish(publisher, received(names, 0, MESSAGES))
        second = await killed_redrive(bootstrap, names, 6)
        mended.kill()
        await mended.process.wait()
        await start("again")
        await desk.look()
        result = await desk.redrive(names.talk, KEY, wait_s=60)

        async def all_said() -> bool:
            return await said(bootstrap, names, "conv_0") == len(every)

        await until(all_said, "every answer of the redriven conversation")
        assert await asked(bootstrap, names, "conv_0") == every
        assert [first, second] == [-signal.SIGKILL, -signal.SIGKILL]
        assert result.end is End.RESUMED
        assert await waiting(desk) == 0
        again = await desk.redrive(names.talk, KEY)
        assert (again.end, again.written) == (End.RESUMED, 0)


async def test_an_event_that_fails_again_stops_the_redrive_and_a_drop_lets_the_rest_go_on(
    stack: Stack, tmp_path: Path
) -> None:
    bootstrap, names = stack.kafka_bootstrap, Names(uuid4().hex[:8])
    create(bootstrap, names)
    async with (
        publishing(bootstrap) as publisher,
        toys(bootstrap, names, tmp_path) as start,
        desk_of(bootstrap, names) as desk,
    ):
        await start("broken", bugs=["wamid.0.0"])
        await park(publisher, names, range(3))
        await until(lambda: _at_least(desk, 3), "what is set aside")

        failed = await desk.redrive(names.talk, KEY, wait_s=60)
        assert failed.flag is not None
        dropped = await desk.redrive(names.talk, KEY, drop=[failed.flag.next], wait_s=60)

        assert (failed.end, failed.flag.next, failed.flag.reason) == (End.FAILED, 1, "bug")
        assert dropped.end is End.RESUMED
        assert await asked(bootstrap, names, "conv_0") == ["wamid.0.1", "wamid.0.2"]


async def _at_least(desk: Desk, count: int) -> bool:
    return await waiting(desk) >= count
