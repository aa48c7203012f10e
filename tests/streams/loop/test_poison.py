"""Bad records on a real broker: one dead letter each, neighbours pass, no lag is left."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from streams.kafka.publish import Record
from streams.local.stack import Stack
from tests.streams.loop.harness import (
    create,
    everything,
    lag,
    post,
    publish,
    publishing,
    toys,
    until,
)
from tests.streams.loop.toy import JsonCodec, Names, received

pytestmark = pytest.mark.integration

GOOD = JsonCodec().encode(received(Names("poison"), 0, 0))
POISON: dict[str, tuple[bytes | None, bytes | None]] = {
    "bad_magic": (b"conv_0", b"\x01junk"),
    "unknown_schema": (b"conv_0", b"\x00\x63rest"),
    "truncated": (b"conv_1", GOOD[:-40]),
    "null_key": (None, GOOD),
    "null_value": (b"conv_2", None),
    "wrong_topic": (b"conv_3", GOOD),
}


async def test_poison_is_buried_once_and_a_restart_buries_nothing_again(
    stack: Stack, tmp_path: Path
) -> None:
    bootstrap, names = stack.kafka_bootstrap, Names(uuid4().hex[:8])
    create(bootstrap, names)
    inbox = names.inbox.name

    async def drained() -> bool:
        return await lag(bootstrap, names.group, inbox) == 0

    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        first = await start("first")
        for conversation, (key, value) in enumerate(POISON.values()):
            await publish(publisher, received(names, conversation, 0))
            await post(publisher, Record(inbox, key, value, (("traceparent", b"00-x"),)))
            await publish(publisher, received(names, conversation, 1))
        misplaced = received(names, 0, 7)
        home = {r.partition for r in await everything(bootstrap, inbox) if r.key == b"conv_0"}
        elsewhere = min(set(range(4)) - home)
        value = JsonCodec().encode(misplaced)
        await post(publisher, Record(inbox, b"conv_0", value), elsewhere)
        await until(drained, "no lag behind the poison")
        assert await first.stop() == 0
        second = await start("second")
        await publish(publisher, received(names, 0, 2))

        async def said() -> bool:
            return len(await everything(bootstrap, names.said.name)) == len(POISON) * 2 + 1

        await until(said, "the neighbours of the poison")

        assert await second.stop() == 0
    letters = await everything(bootstrap, names.inbox.dlq)
    told = {dict(letter.headers)["dlq.error.type"].decode(): letter for letter in letters}
    assert sorted(told) == sorted([*POISON, "misplaced_key"])
    assert len(letters) == len(told)
    for reason, (key, value_read) in POISON.items():
        assert (told[reason].key, told[reason].value) == (key, value_read)
        assert dict(told[reason].headers)["traceparent"] == b"00-x"
