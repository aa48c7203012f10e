"""A record whose header has no name that can be read, on a real broker: one bad record, no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streams.local.stack import Stack
from tests.streams.loop.harness import PARTITIONS, everything, lag, publish, publishing, toys, until
from tests.streams.loop.shelf import group_of
from tests.streams.loop.toy import BORN_MS, JsonCodec, Names, received
from tests.streams.misnamed import write

pytestmark = pytest.mark.integration

GOOD = JsonCodec().encode(received(Names("misnamed"), 0, 0))


async def foreign(bootstrap: str, topic: str, *values: bytes) -> None:
    """Write such records as the last of each partition."""
    for partition in range(PARTITIONS):
        await write(bootstrap, topic, partition, b"conv_0", list(values), BORN_MS)


@pytest.mark.parametrize("reader", ["stages", "sink"])
async def test_a_header_name_that_nobody_can_read_stops_no_partition(
    reader: str, stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap, inbox = stack.kafka_bootstrap, names.inbox.name
    sink: dict[str, Any] = {"sink": {}} if reader == "sink" else {}
    group = group_of(names) if sink else names.group

    async def drained() -> bool:
        return await lag(bootstrap, group, inbox) == 0

    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        await publish(publisher, *(received(names, c, 0) for c in range(20)))
        await foreign(bootstrap, inbox, b"\x01junk", b"\x01more")
        await publish(publisher, *(received(names, c, 1) for c in range(20)))
        worker = await start("one", **sink)
        await until(drained, "no lag behind them")
        await publish(publisher, *(received(names, c, 2) for c in range(20)))
        await until(drained, "no lag later")
        await foreign(bootstrap, inbox, b"\x01last")
        await until(drained, "no lag behind the last")
        assert await worker.stop() == 0
        worker = await start("one", **sink)
        await publish(publisher, *(received(names, c, 3) for c in range(20)))
        await until(drained, "no lag after a restart")
        assert await worker.stop() == 0
        assert worker.said("record.misnamed")
        assert not worker.said("audit.skipped")

    letters = await everything(bootstrap, names.inbox.dlq)
    assert sorted(letter.value for letter in letters) == sorted(
        [b"\x01junk", b"\x01more", b"\x01last"] * PARTITIONS
    )
    if not sink:
        assert len(await everything(bootstrap, names.said.name)) == 80
