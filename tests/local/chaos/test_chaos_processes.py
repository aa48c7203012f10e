from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import TopicPartition

from schemas.errors import Unavailable
from streams.local.chaos import outages, processes
from streams.local.chaos.catalogue import FAULTS
from streams.local.chaos.ground import Ground
from streams.local.chaos.schedule import Planned
from streams.local.stack.process import Crashed
from streams.processor.failpoint import POINTS, REACHED


@dataclass
class Standing:
    """A stack whose parts get a new process id at each start; a launched one ends as told."""

    folder: Path
    crashes: bool = True
    wakes: bool = True
    pids: dict[str, int] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    names: tuple[str, ...] = ("kafka-1", "kafka-2", "postgres", "registry", "worker")

    def pid(self, name: str) -> int:
        return self.pids.setdefault(name, 100)

    def log(self, name: str) -> Path:
        path = self.folder / f"{name}.log"
        path.touch()
        return path

    def ended(self, name: str) -> int | None:
        return self.statuses.get(name)

    def signal(self, name: str, number: int) -> None:
        self.calls.append((signal.Signals(number).name, name))
        if number == signal.SIGCONT and not self.wakes:
            self.statuses[name] = -signal.SIGKILL

    async def kill(self, name: str) -> None:
        self.calls.append(("kill", name))

    async def stop(self, name: str, *, back: bool = False) -> None:  # noqa: ARG002 - as the stack does
        self.calls.append(("stop", name))
        self.statuses[name] = 0

    async def start(self, name: str) -> None:
        self.calls.append(("start", name))
        self.pids[name] = self.pid(name) + 1
        self.statuses.pop(name, None)

    def launch(self, name: str, settings: dict[str, str]) -> None:
        self.calls.append(("launch", settings["FAILPOINT"]))
        if self.crashes:
            with self.log(name).open("a") as log:
                log.write(f'{{"event": "{REACHED}"}}\n')
            self.statuses[name] = -signal.SIGKILL
        else:
            self.statuses[name] = 1


@dataclass
class Waiting(Standing):
    """A stack of which one part is away for so many looks; a worker crashes after them."""

    taken: str = ""
    looks: int = 0

    def ended(self, name: str) -> int | None:
        self.looks -= 1
        if name == self.taken and self.looks > 0:
            return 1
        return super().ended(name) if self.looks <= 0 else None


def ground(stack: Standing, session_s: float = 0.0) -> tuple[Any, list[str]]:
    looks: list[str] = []

    async def note_commits() -> None:
        looks.append("commits")

    made = SimpleNamespace(
        stack=stack,
        current=SimpleNamespace(session_timeout_s=session_s),
        note_commits=note_commits,
        idle=lambda _: False,
    )
    return made, looks


def planned(fault: str, *whom: str) -> Planned:
    return Planned(fault=fault, whom=whom, share=0.5, seconds=0.0, seed=3)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lasting(seconds: float) -> float:
        return seconds

    async def sleep(_: float) -> None:
        pass

    monkeypatch.setattr(processes, "lasting", lasting)
    monkeypatch.setattr("streams.local.chaos.processes.asyncio.sleep", sleep)


async def test_a_killed_worker_is_replaced_and_its_commits_are_looked_at(tmp_path: Path) -> None:
    stack = Standing(tmp_path)
    here, looks = ground(stack)

    seen = await processes.kill(here, planned("F1", "worker"))

    assert stack.calls == [("kill", "worker"), ("start", "worker")]
    assert FAULTS["F1"].proof(seen) is None
    assert looks == ["commits"]


async def test_a_worker_crashes_at_every_point_before_it_is_left_alone(tmp_path: Path) -> None:
    stack = Standing(tmp_path)
    here, looks = ground(stack)

    seen = await processes.crash(here, planned("F1w", "worker"))

    asked = [about for verb, about in stack.calls if verb == "launch"]
    assert {each.partition(":")[0] for each in asked} == set(POINTS)
    assert sum(int(seen[point]) for point in POINTS) == seen["crashes"] == len(asked) == len(looks)
    assert stack.calls[-1] == ("start", "worker")
    assert FAULTS["F1w"].proof(seen) is None


async def test_a_stage_with_little_to_do_crashes_sooner(tmp_path: Path) -> None:
    stack = Standing(tmp_path)
    here, _ = ground(stack)

    await processes.crash(here, planned("F1w", "worker-tools"))

    passes = [int(about.rpartition(":")[2]) for verb, about in stack.calls if verb == "launch"]
    assert max(passes) <= 3


async def test_a_worker_that_ends_otherwise_did_not_crash_at_a_point(tmp_path: Path) -> None:
    stack = Standing(tmp_path, crashes=False)
    here, _ = ground(stack)

    seen = await processes.crash(here, planned("F1w", "worker"))

    assert seen == {"crashes": 0}
    assert FAULTS["F1w"].proof(seen) is not None
    assert sum(verb == "launch" for verb, _ in stack.calls) == processes.MISSES


@pytest.mark.parametrize("taken", ["kafka-2", "postgres"])
async def test_time_without_what_a_worker_needs_does_not_count_as_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    monkeypatch.setattr(processes, "CRASH_S", 0.1)
    stack = Waiting(tmp_path, taken=taken, looks=1000)
    here, _ = ground(stack)

    seen = await processes.crash(here, planned("F1w", "worker"))

    assert FAULTS["F1w"].proof(seen) is None


async def test_time_without_what_a_worker_can_do_without_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "CRASH_S", 0.1)
    stack = Waiting(tmp_path, taken="registry", looks=1000)
    here, _ = ground(stack)
    here.idle = lambda part: part == "worker"

    assert await processes.crash(here, planned("F1w", "worker")) == {"crashes": 0}


async def test_nothing_new_comes_when_all_is_sent_and_no_other_part_is_struck() -> None:
    customers, nothing = SimpleNamespace(begun=9), cast("Any", None)
    here = Ground(
        stack=nothing,
        current=nothing,
        customers=cast("Any", customers),
        witness=nothing,
        proxies=(),
        total=10,
        say=print,
    )

    async with here.holding(["worker-tools"]):
        early = here.idle("worker-tools")
        customers.begun = 10
        alone = here.idle("worker-tools")
        async with here.holding(["worker-dispatch"]):
            beside = here.idle("worker-tools")

    assert (early, alone, beside) == (False, True, False)


async def test_crashes_end_when_nobody_writes_any_more(tmp_path: Path) -> None:
    stack = Standing(tmp_path, crashes=False)
    here, _ = ground(stack)
    here.idle = lambda part: part == "worker"

    await processes.crash(here, planned("F1w", "worker"))

    assert [verb for verb, _ in stack.calls] == ["kill", "launch", "kill", "start"]


async def test_a_rolling_restart_stops_one_after_the_other_in_good_order(tmp_path: Path) -> None:
    stack = Standing(tmp_path)
    here, _ = ground(stack)

    seen = await processes.roll(here, planned("F2", "api", "worker"))

    assert [verb for verb, _ in stack.calls] == ["stop", "start"] * 2
    assert seen == {"restarted": 2, "unclean": 0}


HELD = {"worker": [TopicPartition("in", 0), TopicPartition("in", 1)], "worker-2": []}
TAKEN = {"worker-2": [TopicPartition("in", 0), TopicPartition("in", 1)]}
Held = dict[str, list[TopicPartition]]


@pytest.mark.parametrize(
    ("wakes", "answers", "why"),
    [
        (True, [HELD, {}, TAKEN], None),
        (False, [HELD, TAKEN], "it did not wake up: it was ended"),
        (True, [HELD, HELD], "nobody took its partitions meanwhile"),
        (True, [Unavailable("kafka")], "nobody took its partitions meanwhile"),
    ],
    ids=["taken after a rebalance", "it died", "nobody took them", "nobody can tell"],
)
async def test_a_frozen_worker_sleeps_until_others_have_its_partitions(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    wakes: bool,
    answers: list[Held | Unavailable],
    why: str | None,
) -> None:
    monkeypatch.setattr(processes, "TAKEN_S", 0.1)
    left = list(answers)

    def held(group: str) -> Held:
        assert group == "whaticket.pipeline"
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Unavailable):
            raise found
        return found

    stack = Standing(tmp_path, wakes=wakes)
    here, looks = ground(stack, session_s=6.0)
    here.witness = SimpleNamespace(groups_of=lambda: SimpleNamespace(held=held))
    here.say = lambda _: None

    seen = await processes.freeze(here, planned("F3", "worker"))

    assert stack.calls == [("SIGSTOP", "worker"), ("SIGCONT", "worker")]
    assert FAULTS["F3"].proof(seen) == why
    assert looks == ["commits"]


async def test_workers_are_scaled_to_one_to_six_to_two_and_all_come_back(
    tmp_path: Path,
) -> None:
    stack = Standing(tmp_path)
    here, _ = ground(stack)
    further = [f"worker-{number}" for number in range(2, 7)]

    seen = await processes.scale(here, planned("F13", *further))

    assert stack.calls == [
        (verb, name)
        for verb, whom in (
            ("stop", further),
            ("start", further),
            ("stop", further[1:]),
            ("start", further[1:]),
        )
        for name in whom
    ]
    assert (seen["left"], seen["joined"]) == (9, 9)
    assert FAULTS["F13"].proof(seen) is None


async def test_a_part_that_does_not_start_again_is_named(tmp_path: Path) -> None:
    class Stuck(Standing):
        async def start(self, name: str) -> None:
            raise Unavailable(name)

    here, _ = ground(Stuck(tmp_path))

    with pytest.raises(Unavailable, match="worker-2"):
        await processes.scale(here, planned("F13", "worker-2"))


@pytest.mark.parametrize("times", [outages.STARTS - 1, outages.STARTS])
async def test_a_registry_that_ends_while_postgres_is_away_is_started_again(
    tmp_path: Path, times: int
) -> None:
    class Ending(Standing):
        async def start(self, name: str) -> None:
            await super().start(name)
            if name == "registry" and self.calls.count(("start", name)) <= times:
                raise Crashed("registry ended with exit status 1")

    stack = Ending(tmp_path)
    here, _ = ground(stack)
    here.say = [].append
    fault = planned("F10", "registry", "worker")

    if times < outages.STARTS:
        assert await outages.registry(here, fault)
    else:
        with pytest.raises(Crashed):
            await outages.registry(here, fault)
    assert stack.calls.count(("start", "registry")) == outages.STARTS


async def test_nothing_waits_on_for_a_registry_that_never_starts(tmp_path: Path) -> None:
    begun, ended = asyncio.Event(), []

    class Never(Standing):
        async def start(self, name: str) -> None:
            if name == "registry":
                await begun.wait()
                raise Crashed("registry ended with exit status 1")
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(name)

    here, _ = ground(Never(tmp_path))
    here.say = [].append

    with pytest.raises(Crashed):
        await asyncio.wait_for(outages.registry(here, planned("F10", "registry", "worker")), 5)
    assert ended == ["worker"]
