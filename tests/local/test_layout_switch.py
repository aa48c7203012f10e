from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schemas.changing import replace
from schemas.errors import Misconfigured
from streams.kafka.groups import Groups
from streams.kafka.layouts import Layout, Layouts
from streams.local.load.checker import check
from streams.local.load.run import Sender
from streams.local.stack import StackOptions, own
from streams.local.stack.hold import Ledger
from streams.local.stack.ports import choose
from streams.local.stack.process import Crashed, until
from streams.local.stack.supervisor import Supervisor
from tests.local.whole import Whole, whole

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PLANNED = 4000
"""More than are sent: messages keep arriving until the last switch is over."""
STEP = 20


@asynccontextmanager
async def split_workers(up: Whole, options: StackOptions, *only: str) -> AsyncIterator[None]:
    """A worker for each stage and sink on the running stack, or only some of them."""
    options = replace(options, layout="split")
    ports = choose(only or own.workers(options), {})
    parts = [part for part in own.parts(options, ports, up.stack.env) if part.name in ports]
    ledger = Ledger(options.home / "run" / "split.json")
    supervisor = Supervisor(
        parts,
        logs=options.home / "logs",
        ledger=ledger,
        tell=lambda _name, _line: None,
        restart=False,
    )
    try:
        await supervisor.start_all()
        yield
    finally:
        await supervisor.stop_all()


async def move(layouts: Layouts, to: Layout) -> int:
    plan = await asyncio.to_thread(layouts.plan, to)
    await asyncio.to_thread(layouts.execute, plan)
    return len(plan.moves)


async def more(sender: Sender) -> None:
    enough = len(sender.sent) + STEP
    await until(lambda: len(sender.sent) >= enough)


async def test_the_layout_is_switched_and_switched_back_under_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHATICKET_HOME", str(tmp_path))
    options = StackOptions(home=tmp_path, warm=False, without=("api",))
    async with whole(options) as up:
        layouts = Layouts(Groups(up.stack.kafka_bootstrap))
        sender = up.sender(rate=4)
        loading = asyncio.create_task(up.load(sender, 10, PLANNED))
        await more(sender)
        with pytest.raises(Misconfigured, match=r"still in use: whaticket.pipeline \(1 members\)"):
            await move(layouts, Layout.SPLIT)
        await up.stack.stop("worker")
        with pytest.raises(Crashed, match="run `whaticket groups move --to split --execute`"):
            async with split_workers(up, options, "worker-dispatch"):
                raise AssertionError
        there = await move(layouts, Layout.SPLIT)
        async with split_workers(up, options):
            await more(sender)
        back = await move(layouts, Layout.ALL_IN_ONE)
        await up.stack.start("worker")
        await more(sender)
        sender.stop()
        loaded = await loading

    assert there > 0
    assert back > 0
    assert 3 * STEP <= len(loaded.known.sent) < PLANNED
    assert check(loaded.known) == []
    assert loaded.known.accepted
