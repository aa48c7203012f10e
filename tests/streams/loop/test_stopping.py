"""An orderly stop, in every moment: finish or hand back, flush, commit, end with code 0."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from streams.local.stack import Stack
from tests.streams.loop.harness import everything, lag, publish, publishing, toys, until
from tests.streams.loop.toy import JsonCodec, Names, received

pytestmark = pytest.mark.integration

CALLS = 20
QUICK = 20
GRACE_S = 25.0
"""The drain of a toy is 1 s; what is around it takes long only on a busy machine."""


async def said(bootstrap: str, names: Names) -> Counter[str]:
    records = await everything(bootstrap, names.said.name)
    return Counter(JsonCodec().decode(record.value).event_id for record in records)


async def test_calls_that_are_open_are_handed_back_and_answered_once(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        first = await start("first")
        await first.ready()
        await publish(publisher, *(received(names, c, 0, "wait 60") for c in range(CALLS)))
        await publish(publisher, *(received(names, CALLS + c, 0) for c in range(QUICK)))

        async def quick_ones() -> bool:
            return len(await said(bootstrap, names)) == QUICK

        await until(quick_ones, "the quick answers")

        began = time.monotonic()
        assert await first.stop() == 0
        assert time.monotonic() - began < GRACE_S  # not the 60 s of the calls

        (quiesced,) = first.said("worker.quiesced")[-1:]
        assert quiesced["cancelled"] == CALLS
        assert await lag(bootstrap, names.group, names.inbox.name) >= CALLS
        await start("first", hurry=True)

        async def complete() -> bool:
            found = await said(bootstrap, names)
            return len(found) == CALLS + QUICK

        await until(complete, "every answer")

        async def nothing_left() -> bool:
            return await lag(bootstrap, names.group, names.inbox.name) == 0

        await until(nothing_left, "no lag")
        talked = await everything(bootstrap, names.asked.name)
        assert len({record.value for record in talked}) == CALLS + QUICK  # each decided once


@pytest.mark.parametrize("moment", ["health.listening", "worker.quiesced", "recovery.bulk"])
async def test_a_stop_while_a_worker_joins_or_recovers_is_orderly_too(
    stack: Stack, names: Names, tmp_path: Path, moment: str
) -> None:
    bootstrap = stack.kafka_bootstrap
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        first = await start("first")
        await first.ready()
        await publish(publisher, *(received(names, c, n) for n in range(5) for c in range(QUICK)))
        second = await start("second")
        await until(lambda: second.said(moment), moment)

        second.process.send_signal(signal.SIGINT)

        assert await asyncio.wait_for(second.process.wait(), 60) == 0

        async def complete() -> bool:
            return len(await said(bootstrap, names)) == 5 * QUICK

        await until(complete, "every answer, by the first")
        assert await first.stop() == 0
