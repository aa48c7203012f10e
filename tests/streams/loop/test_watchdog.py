"""The watchdog: what excuses a worker that does nothing, and how one that hangs ends."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.errors import KafkaError
from faust.types import TP

from schemas.changing import replace
from streams.consumer.auditor import Auditor
from streams.local.stack import Stack
from streams.watch import lookout as lookout_module
from streams.watch.health import Dependencies
from streams.watch.lookout import Lookout
from streams.watch.watchdog import Signs, Watch
from tests.streams.loop.fakes import NAMES, Rig
from tests.streams.loop.harness import DEADLINE_S, create, publish, publishing, toys, until
from tests.streams.loop.toy import Names, Toys, received

HUNG = Signs(progress=7, partitions=4, serving=True, behind=9, waiting=None, calling=False)
PATIENCE_S = 60.0

EXCUSES: list[dict[str, Any]] = [
    {"progress": 8},  # something was finished
    {"partitions": 0},  # another worker has them
    {"behind": 0},  # nothing to do
    {"waiting": "waiting for postgres"},
    {"calling": True},  # a model may take its time
]


def test_a_worker_that_hangs_must_end_once_its_patience_is_over() -> None:
    watch = Watch(0.0, 7).look(HUNG, 30.0).look(HUNG, 60.0)

    assert watch.why_stuck(HUNG, 59.0, PATIENCE_S) is None
    why = watch.why_stuck(HUNG, 60.0, PATIENCE_S)
    assert why is not None
    assert "nothing was finished for 60 s on 4 partitions (9 records behind)" in why


@pytest.mark.parametrize("excuse", EXCUSES, ids=[next(iter(excuse)) for excuse in EXCUSES])
def test_one_excuse_starts_the_time_anew(excuse: dict[str, Any]) -> None:
    watch = Watch(0.0, 7).look(replace(HUNG, **excuse), 50.0)

    again = watch.look(replace(HUNG, progress=watch.progress), 100.0)

    assert again.since_s == 50.0
    assert again.why_stuck(HUNG, 100.0, PATIENCE_S) is None


def test_a_recovery_that_does_not_move_is_a_hang_too() -> None:
    recovering = replace(HUNG, serving=False, behind=0)

    why = Watch(0.0, 7).look(recovering, 60.0).why_stuck(recovering, 60.0, PATIENCE_S)

    assert why is not None
    assert "tables were being recovered" in why


async def test_a_call_is_within_its_limit_until_the_limit_is_over() -> None:
    rig = Rig(Toys(NAMES).talk)
    assert rig.lanes.take(rig.message(received(NAMES, 0, 0, "wait 60"), 0))
    assert not rig.lanes.calling(0.0)  # it has not begun
    await asyncio.sleep(0)
    (lane,) = rig.lanes.lanes.values()
    assert lane.began_s is not None

    limit_s = rig.stage.call_limit_s
    assert rig.lanes.calling(lane.began_s + limit_s - 1)
    assert not rig.lanes.calling(lane.began_s + limit_s + 1)
    await rig.lanes.cancel()


class FakeMember:
    """A member with two partitions, whose brokers say where the logs end, or nothing."""

    def __init__(self, ends: dict[TP, int] | None) -> None:
        self.told = ends
        self.auditor = Auditor("group", lambda *_: None)
        self.auditor.open({TP("t", 0): 5, TP("t", 1): 7})
        self.progress = 0
        self.serving = True

    def partitions(self) -> set[TP]:
        return {TP("t", 0), TP("t", 1)}

    async def ends(self) -> dict[TP, int]:
        if self.told is None:
            raise KafkaError
        return self.told


async def test_brokers_that_say_nothing_take_a_part_of_the_patience_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The event loop does not stand still while they are asked, and is not taken for that."""
    monkeypatch.setattr(lookout_module, "ASK_S", 3600.0)

    class Silent(FakeMember):
        async def ends(self) -> dict[TP, int]:
            await asyncio.sleep(3600)
            raise AssertionError

    lookout = Lookout(Silent({}), Dependencies(), lambda _: False, 0.1)
    lookout.watch = Watch(time.monotonic() - 1, lookout.member.progress)

    async with asyncio.timeout(DEADLINE_S):
        await lookout.look()

    assert lookout.why is None


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        ({TP("t", 0): 9, TP("t", 1): 7}, "4 records behind"),
        ({TP("t", 0): 5, TP("t", 1): 7}, None),  # nothing to do
        (None, None),  # the brokers are away
    ],
)
async def test_a_quiet_worker_is_stuck_only_if_the_brokers_say_that_it_is_behind(
    ends: dict[TP, int] | None, why: str | None
) -> None:
    lookout = Lookout(FakeMember(ends), Dependencies(), lambda _: False, 60.0)
    lookout.watch = Watch(time.monotonic() - 61.0)

    await lookout.look()

    assert (lookout.why or "").count(why or "nothing") == (1 if why else 0)


@pytest.mark.parametrize("looks", [1, 20])
async def test_a_worker_that_was_frozen_as_a_whole_is_not_blamed_for_that(
    monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """Its partitions went on elsewhere, so it is behind by its own books when it wakes up."""
    now = [1000.0]
    monkeypatch.setattr(lookout_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    lookout = Lookout(FakeMember({TP("t", 0): 9}), Dependencies(), lambda _: False, 60.0)
    await lookout.look()

    now[0] += 600
    for _ in range(looks):
        await lookout.look()
        now[0] += 3

    assert (lookout.why is None) == (looks == 1)  # one that hangs then is found all the same


@pytest.mark.integration
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wait 3600", "nothing was finished for"),
        ("block", "the event loop stood still for 5 s"),
    ],
)
async def test_a_worker_whose_event_hangs_ends_with_a_clear_last_line(
    stack: Stack, tmp_path: Path, text: str, said: str
) -> None:
    bootstrap, names = stack.kafka_bootstrap, Names(uuid4().hex[:8])
    create(bootstrap, names)
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        worker = await start("hung", settings={"stuck_s": 5}, call_limit_s=1.0)
        await worker.ready()
        await publish(publisher, received(names, 0, 0, text))

        assert await asyncio.wait_for(worker.process.wait(), 90) == 1

        (crashed,) = worker.said("worker.crashed")
        assert said in crashed["error"]


@pytest.mark.integration
async def test_a_worker_whose_sink_hangs_ends_with_a_clear_last_line(
    stack: Stack, tmp_path: Path
) -> None:
    bootstrap, names = stack.kafka_bootstrap, Names(uuid4().hex[:8])
    create(bootstrap, names)
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        worker = await start("hung", settings={"stuck_s": 5}, sink={"call_limit_s": 1.0})
        await worker.ready()
        await publish(publisher, received(names, 0, 0, "wait 3600"))

        assert await asyncio.wait_for(worker.process.wait(), 90) == 1

        (crashed,) = worker.said("worker.crashed")
        assert "nothing was finished for" in crashed["error"]


@pytest.mark.integration
async def test_a_worker_within_the_limit_of_a_call_is_left_alone(
    stack: Stack, tmp_path: Path
) -> None:
    bootstrap, names = stack.kafka_bootstrap, Names(uuid4().hex[:8])
    create(bootstrap, names)
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        worker = await start("patient", settings={"stuck_s": 5}, call_limit_s=600.0)
        await publish(publisher, received(names, 0, 0, "wait 12"))

        async def answered() -> bool:
            return bool(await worker.metric("audit_offsets_total", stream=names.answered.name))

        await until(answered, "the answer")
        assert worker.said("worker.crashed") == []
