"""One of three AI workers killed under load: when its conversations are answered again."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.errors import Unavailable
from schemas.topics import HANDOFF_REQUESTED
from streams.clock import WallClock
from streams.kafka.groups import Groups
from streams.kafka.naming import group_of
from streams.kafka.partitioner import home
from streams.local.bench.turns import Turns, given
from streams.local.bench.waiting import FRONTS, WORKER
from streams.local.stack import Stack, StackOptions, running
from streams.local.stack.own import beside
from streams.local.stack.supervisor import Tell
from streams.settings import load

WORKERS: Final = 3
VICTIM: Final = f"{WORKER}-2"
RATE: Final = 30
SENDING_S: Final = 60.0
LATENCY_MS: Final = 1500
PATIENCE_S: Final = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """What a kill did to the conversations of the worker that died.

    Attributes:
        session_s: Silence after which the group gives a worker's partitions away.
        partitions: How many the dead worker had.
        resumed_s: From the kill to the first answer on each of them, the longest.
        longest_s: Longest time from a turn's start to its answer.
        asked: Turns that were given.
        answered: Those that were answered.
        twice: Answers that came again under another id.
    """

    session_s: float
    partitions: int
    resumed_s: float
    longest_s: float
    asked: int
    answered: int
    twice: int

    @property
    def good(self) -> bool:
        """Whether every turn was answered once."""
        return self.answered == self.asked and not self.twice


async def failover(folder: Path, tell: Tell) -> Failover:
    """Measure on a stack of its own.

    Raises:
        Unavailable: The worker that is to be killed had no partition.
    """
    options = StackOptions(
        home=folder,
        alone=True,
        layout="split",
        workers=WORKERS,
        latency_ms=LATENCY_MS,
        warm=False,
        without=(*FRONTS, *beside("ai", WORKERS)),
    )
    async with running(options, tell) as stack, given(stack) as turns:
        return await _killed(stack, turns)


async def _killed(stack: Stack, turns: Turns) -> Failover:
    current = load(stack.home)
    held = await asyncio.to_thread(Groups(stack.kafka_bootstrap).held, group_of(("ai",)))
    lost = {
        place.partition for place in held.get(VICTIM, ()) if place.topic == HANDOFF_REQUESTED.name
    }
    if not lost:
        raise Unavailable(VICTIM)
    count = int(RATE * SENDING_S)
    sending = asyncio.create_task(turns.send(count, over_s=SENDING_S))
    await asyncio.sleep(SENDING_S / 3)
    await stack.kill(VICTIM)
    killed_ms = WallClock().now_ms()
    ids = await sending
    await turns.until(lambda: set(ids) <= turns.ended.keys(), PATIENCE_S)
    answers = [
        (home(end.conversation_id.encode(), current.topic_partitions), end.occurred_at)
        for end in turns.ended.values()
    ]
    return Failover(
        session_s=current.session_timeout_s,
        partitions=len(lost),
        resumed_s=resumed_s(killed_ms, answers, lost),
        longest_s=max(turns.took_s(ids), default=0.0),
        asked=count,
        answered=len(turns.ended.keys() & set(ids)),
        twice=turns.twice,
    )


def resumed_s(killed_ms: int, answers: Iterable[tuple[int, int]], lost: Collection[int]) -> float:
    """Return the longest time from a kill to the first answer on each of some partitions.

    Args:
        killed_ms: When the worker had ended.
        answers: Partition and time of every answer.
        lost: Partitions that the worker had.

    Returns:
        Seconds; infinite when one of them was never answered on again.
    """
    first = dict.fromkeys(lost, math.inf)
    for partition, at_ms in answers:
        if partition in first and at_ms >= killed_ms:
            first[partition] = min(first[partition], (at_ms - killed_ms) / 1000)
    return max(first.values())
