from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from schemas.changing import replace
from schemas.events import OutboundSettled
from schemas.topics import OUTBOUND_SETTLED, STATEFUL_STAGES
from streams.kafka.publish import Publisher, record_of
from streams.kafka.reading import Reading
from streams.kafka.registry import open_codec
from streams.local.load.checker import check
from streams.local.stack import StackOptions
from streams.local.stack.process import until
from streams.replay.whole import Replayed, Wanted
from streams.replay.whole import replay as replayed
from tests.local.whole import Whole, whole

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MESSAGES = 120


async def again(up: Whole, **wanted: str) -> Replayed:
    return await replayed(up.current, Wanted(**wanted), lambda _: None)  # type: ignore[arg-type]


def differences(result: Replayed) -> list[str]:
    return [
        f"{' '.join(verdict.actor)}: {verdict.difference.line}"
        for verdict in result.verdicts
        if verdict.difference
    ]


async def plant(up: Whole) -> str:
    """Let the gate say two things of one bubble, as a stage that decides twice would."""
    codec = await open_codec(up.current)
    found = await Reading(up.current.kafka_bootstrap, codec).read((OUTBOUND_SETTLED.name,))
    settled = next(each.event for each in found if isinstance(each.event, OutboundSettled))
    publisher = Publisher(up.current.kafka_bootstrap, client_id="planter")
    await publisher.start()
    await publisher.publish((record_of(replace(settled, reason="planted"), codec),))
    await publisher.stop()
    return settled.conversation_id


async def test_a_log_is_decided_again_byte_for_byte_though_a_worker_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHATICKET_HOME", str(tmp_path))
    options = StackOptions(home=tmp_path, warm=False, without=("api",))
    async with whole(options) as up:
        sender = up.sender(rate=20)
        load = asyncio.create_task(up.load(sender, 20, MESSAGES))
        await until(lambda: len(sender.sent) >= MESSAGES // 2)
        await up.stack.kill("worker")
        await up.stack.start("worker")
        loaded = await load
        whole_log = await again(up)
        one = await again(up, conversation_id=whole_log.verdicts[0].actor[1])
        conversation = await plant(up)
        planted = await again(up)

    assert check(loaded.known) == []
    assert differences(whole_log) == []
    assert {v.actor[0] for v in whole_log.verdicts if v.replayed} == set(STATEFUL_STAGES)
    assert sum(v.skipped for v in whole_log.verdicts) == 0
    assert 0 < sum(v.replayed for v in one.verdicts) < sum(v.replayed for v in whole_log.verdicts)
    assert any(
        line.startswith(f"{conversation} outbound") or "says two things under one id" in line
        for line in differences(planted)
    )
