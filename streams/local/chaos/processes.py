"""Faults of our own processes: killed, crashed at a point, stopped, paused, scaled, set back."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from confluent_kafka import TopicPartition

from schemas.errors import PipelineError, Unavailable
from streams.kafka.groups import Groups
from streams.kafka.naming import APP
from streams.local.chaos.catalogue import stage_of
from streams.local.chaos.facts import Seen
from streams.local.chaos.ground import AGAIN_S, Ground, group_of_worker, last_words, lasting
from streams.local.chaos.schedule import Planned
from streams.local.stack import Stack
from streams.local.stack.together import together
from streams.processor.failpoint import POINTS, REACHED

CRASHES: Final = 6
PASSES: Final = (2, 14)
"""At which pass of the point a worker dies."""
SKEWS_MS: Final = (-3_600_000, 3_540_000)
"""Brokers refuse what is more than an hour ahead of them."""
EMPTY_S: Final = 30.0
CRASH_S: Final = 90.0
"""How long a worker that is served may take to reach its fail-point: it has nothing to do while
those before it crash as well."""
MISSES: Final = 3
"""How often it may not reach one, before it is left alone."""
TAKEN_S: Final = 20.0
"""How long others may take to read what was a stopped worker's, once its session has ended."""
RARE: Final = {"tools": (1, 3)}
"""Its passes, in a stage that seldom has anything to do."""
Place = tuple[str, int]
"""Topic and partition."""


async def kill(ground: Ground, planned: Planned) -> Seen:
    """F1: SIGKILL, a look at the commits, a new process."""
    (part,) = planned.whom
    before = ground.stack.pid(part)
    await ground.stack.kill(part)
    if part.startswith("worker"):
        await ground.note_commits()
    await ground.stack.start(part)
    return {"before": before, "after": ground.stack.pid(part)}


async def crash(ground: Ground, planned: Planned) -> Seen:
    """F1w: a worker dies again and again, each time exactly between two writes."""
    (part,) = planned.whom
    chance = random.Random(planned.seed)  # noqa: S311 - a plan, not a secret
    found: Counter[str] = Counter()
    points = itertools.islice(itertools.cycle(chance.sample(POINTS, len(POINTS))), CRASHES)
    between = RARE.get(stage_of(part), PASSES)
    missed = 0
    await ground.stack.kill(part)
    for point in points:
        passes = chance.randint(*between)
        if await _crashed(ground.stack, part, f"{point}:{passes}"):
            found[point] += 1
            await ground.note_commits()
            continue
        await ground.stack.kill(part)
        missed += 1
        if ground.idle(part) or missed == MISSES:
            break  # nobody writes any more, and what was in flight is done
    await ground.stack.start(part)
    return {"crashes": found.total(), **found}


async def _crashed(stack: Stack, part: str, failpoint: str) -> bool:
    """Start a worker that is to crash; say whether it did, there."""
    began = stack.log(part).stat().st_size
    stack.launch(part, {"FAILPOINT": failpoint})
    said = await last_words(stack, part, began, CRASH_S)
    return REACHED.encode() in said and stack.ended(part) == -signal.SIGKILL


async def roll(ground: Ground, planned: Planned) -> Seen:
    """F2: SIGTERM and a new process, one part after the other."""
    restarted = unclean = 0
    for part in planned.whom:
        before = ground.stack.pid(part)
        await ground.stack.stop(part, back=True)
        unclean += ground.stack.ended(part) not in (0, -signal.SIGTERM)
        await ground.stack.start(part)
        restarted += ground.stack.pid(part) != before
    return {"restarted": restarted, "unclean": unclean}


async def freeze(ground: Ground, planned: Planned) -> Seen:
    """F3: SIGSTOP for more than two session timeouts, and until others read its partitions."""
    (part,) = planned.whom
    stack, session_s = ground.stack, ground.current.session_timeout_s
    before = stack.pid(part)
    mine, _ = await _shares(ground, part)
    stack.signal(part, signal.SIGSTOP)
    stopped_s = await lasting(2 * session_s + 1)
    taken = await _taken(ground, part, mine)
    stack.signal(part, signal.SIGCONT)
    await asyncio.sleep(1.0)
    await ground.note_commits()
    alive = stack.ended(part) is None
    return {
        "before": before,
        "after": stack.pid(part) if alive else 0,
        "stopped_s": stopped_s,
        "session_s": session_s,
        "taken": taken,
    }


async def _taken(ground: Ground, part: str, mine: set[Place]) -> int:
    """Return how many partitions of a worker others read; waits for all of them, not for ever."""
    deadline = time.monotonic() + TAKEN_S
    while True:
        _, others = await _shares(ground, part)
        taken = len(mine & others)
        if taken == len(mine) or time.monotonic() > deadline:
            return taken
        await asyncio.sleep(AGAIN_S)


async def _shares(ground: Ground, part: str) -> tuple[set[Place], set[Place]]:
    """Return which partitions a worker reads, and which the others of its group do.

    Nobody knows while no broker answers.
    """
    try:
        held = await asyncio.to_thread(ground.witness.groups_of().held, group_of_worker(part))
    except PipelineError as exc:
        ground.say(f"nobody can tell who reads what: {exc}")
        return set(), set()
    mine, others = set[Place](), set[Place]()
    for member, places in held.items():
        found = mine if member == part else others
        found.update((place.topic, place.partition) for place in places)
    return mine, others


async def skew(ground: Ground, planned: Planned) -> Seen:
    """F14: the clock of one worker is an hour wrong for a while, then right again."""
    (part,) = planned.whom
    skew_ms = random.Random(planned.seed).choice(SKEWS_MS)  # noqa: S311 - a plan, not a secret
    await ground.stack.stop(part)
    ground.stack.launch(part, {"CLOCK_SKEW_MS": str(skew_ms)})
    await ground.ready(part)
    skewed_s = await lasting(planned.seconds)
    alive = ground.stack.ended(part) is None
    await ground.stack.stop(part)
    await ground.stack.start(part)
    return {"skew_ms": skew_ms, "skewed_s": skewed_s if alive else 0}


async def scale(ground: Ground, planned: Planned) -> Seen:
    """F13: one worker is left, then all are there, then two; each for some seconds."""
    stack, others = ground.stack, planned.whom[1:]
    left = joined = 0
    slowest_s = 0.0
    for change, whom in (
        (stack.stop, planned.whom),
        (stack.start, planned.whom),
        (stack.stop, others),
        (stack.start, others),
    ):
        began = time.monotonic()
        await together(change(part) for part in whom)
        slowest_s = max(slowest_s, time.monotonic() - began)
        if change == stack.stop:
            left += len(whom)
        else:
            joined += len(whom)
        await asyncio.sleep(began + planned.seconds - time.monotonic())
    await ground.note_commits()
    return {"left": left, "joined": joined, "slowest_s": round(slowest_s, 1)}


async def _empty(groups: Groups, names: Sequence[str]) -> None:
    """Wait until nobody is a member: who stopped keeps its place until its session ends.

    Raises:
        Unavailable: Somebody still is, in half a minute.
    """
    deadline = time.monotonic() + EMPTY_S
    while busy := await asyncio.to_thread(groups.members, names):
        if time.monotonic() > deadline:
            raise Unavailable(f"consumer group {', '.join(busy)}")
        await asyncio.sleep(1.0)


async def reset_offsets(ground: Ground, planned: Planned) -> Seen:
    """F16: while no worker runs, every committed offset goes back to the beginning."""
    for part in planned.whom:
        await ground.stack.stop(part)
    partitions = again = 0
    groups = ground.witness.groups_of()
    names = [n for n in await asyncio.to_thread(groups.names) if n.startswith(f"{APP}.")]
    await _empty(groups, names)
    for name in names:
        if rows := await asyncio.to_thread(groups.committed, name):
            back = [TopicPartition(row.topic, row.partition, 0) for row in rows]
            await asyncio.to_thread(groups.commit, name, back)
            partitions += len(back)
            again += sum(row.offset for row in rows)
    await together(ground.stack.start(part) for part in planned.whom)
    return {"partitions": partitions, "again": again}
