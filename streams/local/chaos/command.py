"""Chaos runs on stacks of their own: each run's history is kept, judged and told."""

from __future__ import annotations

import contextlib
import shutil
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from schemas.errors import Misconfigured, PipelineError
from streams.local.chaos import growth
from streams.local.chaos.archive import read, write
from streams.local.chaos.catalogue import FAULTS, is_further
from streams.local.chaos.course import REACH_S, Course, Run, recovered
from streams.local.chaos.ground import Say
from streams.local.chaos.proxy import Proxy
from streams.local.chaos.receipts import switch_on
from streams.local.chaos.schedule import check
from streams.local.chaos.story import Story, story
from streams.local.chaos.verdict import Verdict, judge
from streams.local.outside import outside
from streams.local.stack import StackOptions, running
from streams.local.stack.options import Layout
from streams.local.stack.own import beside
from streams.local.stack.ports import HOST, choose
from streams.patience import patiently
from streams.settings import load

CONNECTIONS: Final = 256
SESSION_S: Final = 6.0
"""Shortest session timeout that the brokers allow: a dead worker is missed soon."""
IDLE_DAYS: Final = 3 / 86_400
"""Conversations rest after three seconds, so that many do when a fault strikes."""
SETTINGS: Final = {
    "SESSION_TIMEOUT_S": f"{SESSION_S:g}",
    "IDLE_DAYS": f"{IDLE_DAYS:.8f}",
    # Any free port: a stack of the same machine's developer has the usual ones.
    "WEBHOOK_PORT": "0",
    "API_PORT": "0",
}
STARTS: Final = 3
"""How often a stack is started before the run that needs it is given up: nothing was struck yet."""
LATENCY_MS: Final = 3000
"""How long the scripted model takes, so that a hundred messages are in flight at a fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What stack a run needs; runs of one shape share one.

    Attributes:
        layout: One worker for all stages, or one for each.
        brokers: Kafka brokers.
        workers: How many of each worker process.
        stage: Of which stage alone, in the split layout; empty is each.
        proxied: Whether a proxy of ours stands before each broker.
        wasted: Whether nobody can use it after a run.
    """

    layout: Layout
    brokers: int
    workers: int
    proxied: bool
    wasted: bool = False
    stage: str = ""

    @classmethod
    def of(cls, run: Run) -> Shape:
        """Return the smallest stack on which all faults of a run can happen.

        Raises:
            Misconfigured: There is no such fault.
        """
        check(run.faults)
        kinds = [FAULTS[name] for name in run.faults]
        workers = max((kind.workers for kind in kinds), default=1)
        stages = [kind.stage for kind in kinds if kind.workers == workers]
        return cls(
            layout="split" if run.layout == "split" else "all-in-one",
            brokers=max((kind.brokers for kind in kinds), default=1),
            workers=workers,
            proxied=any(kind.proxied for kind in kinds),
            wasted=growth.NAME in run.faults,
            stage=stages[0] if stages and run.layout == "split" else "",
        )

    @property
    def folder(self) -> str:
        """Name of the folder of such a stack."""
        proxied = "-proxied" if self.proxied else ""
        wasted = "-wasted" if self.wasted else ""
        return f"{self.layout}-{self.brokers}b-{self.workers}w{self.stage}{proxied}{wasted}"

    @property
    def without(self) -> tuple[str, ...]:
        """Further workers that such a stack does not have."""
        others = beside(self.stage, self.workers) if self.stage else ()
        return tuple(name for name in others if is_further(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One run, judged.

    Attributes:
        path: Its history.
        story: What was seen.
        verdict: What it comes to.
    """

    path: Path
    story: Story
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoiled:
    """One run that came to no end.

    Attributes:
        run: What was asked.
        why: What did not come back.
    """

    run: Run
    why: str


async def series(home: Path, runs: Sequence[Run], say: Say) -> AsyncIterator[Told | Spoiled]:
    """Play runs; those that need the same stack, one after the other on one.

    A run that came to no end takes its stack with it, and the next one gets another.

    Args:
        home: Folder of stacks and histories.
        runs: What to play.
        say: Told what happens.

    Raises:
        Misconfigured: A fault is asked for that there is not, or the stack cannot be as it must be;
            nothing was started.
    """
    ordered = sorted(runs, key=lambda run: Shape.of(run).folder)
    for shape, its in groupby(ordered, key=Shape.of):
        left, failed = deque(its), 0
        while left:
            course: Course | None = None
            try:
                async with standing(home / "stacks", shape, say) as course:
                    failed = 0
                    while left:
                        yield await _played(home / "histories", shape, course, left[0])
                        left.popleft()
                        if shape.wasted or not await recovered(course):
                            break
            except PipelineError as exc:
                _raise_lasting(exc, course)
                _forget(home / "stacks" / shape.folder, course)
                failed += course is None
                if course is None and failed < STARTS:
                    say(f"the stack did not start, and is started again: {exc}")
                elif left:
                    failed = 0
                    yield Spoiled(run=left.popleft(), why=str(exc))


def _raise_lasting(exc: PipelineError, course: Course | None) -> None:
    """Raise what a second start would not help against."""
    if course is None and type(exc) is Misconfigured:
        raise exc


def _forget(stack: Path, course: Course | None) -> None:
    """Remove the stack of a run that came to no end: what it left would go on in the next one."""
    if course is not None:
        shutil.rmtree(stack, ignore_errors=True)


async def _played(folder: Path, shape: Shape, course: Course, run: Run) -> Told:
    course.say(f"begins: {run.command}")
    facts = await course.run(run)
    path = folder / f"{'-'.join(run.faults)}-{shape.folder}-{run.seed}.jsonl"
    write(path, facts)
    told = story(facts)
    return Told(path=path, story=told, verdict=judge(told))


@contextlib.asynccontextmanager
async def standing(folder: Path, shape: Shape, say: Say) -> AsyncIterator[Course]:
    """Lend a stack of a shape, with all that chaos needs around it."""
    proxies = _proxies(shape)
    options = StackOptions(
        home=folder / shape.folder,
        alone=True,
        brokers=shape.brokers,
        layout=shape.layout,
        workers=shape.workers,
        without=shape.without,
        latency_ms=LATENCY_MS,
        settings=SETTINGS,
        fronts=tuple((proxy.upstream, proxy.port) for proxy in proxies),
    )
    if shape.wasted:  # what an earlier run left; its logs were kept until now
        shutil.rmtree(options.home, ignore_errors=True)
    async with contextlib.AsyncExitStack() as opened:
        for proxy in proxies:
            opened.push_async_callback(proxy.stop)
            await proxy.start()
        stack = await opened.enter_async_context(
            running(options, lambda name, line: say(f"{name}: {line}"))
        )
        current = load(options.home)
        direct = [stack.port(f"kafka-{number}") for number in range(1, shape.brokers + 1)]
        current = current.model_copy(
            update={
                "session_timeout_s": SESSION_S,
                "kafka_bootstrap": ",".join(f"{HOST}:{port}" for port in direct),
            }
        )
        await patiently("read receipts", lambda: switch_on(current), limit_s=REACH_S)
        world = await opened.enter_async_context(outside(current, CONNECTIONS))
        yield Course(
            stack=stack,
            current=current,
            world=world,
            proxies=proxies,
            brokers=shape.brokers,
            say=say,
        )


def _proxies(shape: Shape) -> list[Proxy]:
    if not shape.proxied:
        return []
    numbers = range(1, shape.brokers + 1)
    names = [f"{side}-{number}" for number in numbers for side in ("front", "inner")]
    ports = choose(names, {})
    return [Proxy(ports[f"front-{number}"], ports[f"inner-{number}"]) for number in numbers]


def judged(path: Path) -> Told:
    """Judge a history that was kept.

    Raises:
        Misconfigured: It is no history of a run.
    """
    told = story(read(path))
    return Told(path=path, story=told, verdict=judge(told))
