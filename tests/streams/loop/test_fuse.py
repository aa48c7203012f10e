"""A bad deploy in a crash loop, on a real broker: the starts together give up one fuse's worth."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from streams.deadletters.fuse import FUSE
from streams.local.stack import Stack
from tests.streams.loop.harness import create, everything, publish, publishing, toys, until
from tests.streams.loop.toy import Names, received

pytestmark = pytest.mark.integration

CONVERSATIONS = FUSE + 15


async def test_all_starts_of_a_crash_loop_give_up_no_more_than_one_would(
    stack: Stack, tmp_path: Path
) -> None:
    bootstrap, names = stack.kafka_bootstrap, Names(uuid4().hex[:8])
    create(bootstrap, names)
    bugs = [f"wamid.{number}.0" for number in range(CONVERSATIONS)]
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        await publish(publisher, *(received(names, n, 0) for n in range(CONVERSATIONS)))

        codes, letters, logs = [], [], []
        for instance in ("first", "second", "third"):
            worker = await start(instance, bugs=bugs)
            codes.append(await asyncio.wait_for(worker.process.wait(), 120))
            logs.append(worker.log.read_text())
            letters.append(len(await everything(bootstrap, names.inbox.dlq)))
        await start("mended")

        async def the_rest_is_decided() -> bool:
            asked = {record.key for record in await everything(bootstrap, names.asked.name)}
            return len(asked) == CONVERSATIONS - letters[-1]

        await until(the_rest_is_decided, "what was not given up")

    assert all(code not in (0, None) for code in codes)
    assert 0 < letters[0] <= letters[1] <= letters[2] < FUSE
    assert all("events in a row were given up" in log for log in logs)
