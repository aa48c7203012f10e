"""F12: somebody wants more partitions. The tool refuses it, and so does a worker that is told so.

Partitions that are there cannot be taken away again. So topics grow only when the run is over, on
a stack that nobody uses afterwards: every worker ends, says why, and does not start again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but an untyped re-export
    NewPartitions,
)

from schemas.changing import replace
from schemas.errors import Unavailable
from schemas.topics import STATEFUL_STAGES, changelog
from streams.kafka import librdkafka
from streams.local.chaos.catalogue import Setting, ours
from streams.local.chaos.facts import Fact, Seen, Struck
from streams.local.chaos.ground import Ground, last_words
from streams.local.chaos.schedule import Planned
from streams.local.chaos.witness import EVERY_TOPIC

NAME: Final = "F12"
"""A run with it leaves its stack with topics that have grown."""
MORE: Final = 4
"""How many times the partitions that there are."""
SETTING: Final = "TOPIC_PARTITIONS"
REFUSAL: Final = "would move to other partitions"
"""What the tool and the worker say of it."""
PATIENCE_S: Final = 60.0


async def refused(ground: Ground, planned: Planned) -> Seen:
    """F12: the tool is to make four times the partitions, then a worker starts with the setting."""
    (part,) = planned.whom
    before = await _counts(ground)
    more = {SETTING: str(MORE * ground.current.topic_partitions)}
    by_tool = await _by_tool({**ground.stack.env, **more})
    await ground.stack.stop(part, back=True)
    by_worker = await _by_worker(ground, part, more)
    await ground.stack.start(part)
    return {
        "by_tool": by_tool,
        "by_worker": by_worker,
        "unchanged": before == await _counts(ground),
    }


async def _by_tool(env: Mapping[str, str]) -> bool:
    """Ask for the partitions; say whether that was refused, and why."""
    tool = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streams", "topics", "apply", "--execute"),
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await tool.communicate()
    return tool.returncode not in (0, None) and REFUSAL in said.decode()


async def _by_worker(ground: Ground, part: str, more: Mapping[str, str]) -> bool:
    """Start a worker that expects the partitions; say whether it ended with the reason."""
    began = ground.stack.log(part).stat().st_size
    ground.stack.launch(part, more)
    if await _ended(ground, part, began):
        return True
    if ground.stack.ended(part) is None:
        await ground.stack.kill(part)
    return False


async def _ended(ground: Ground, part: str, began: int) -> bool:
    """Wait for the end of a worker; say whether it gave the reason since a place of its log."""
    said = await last_words(ground.stack, part, began, PATIENCE_S)
    return ground.stack.ended(part) not in (0, None) and REFUSAL.encode() in said


async def for_good(ground: Ground, facts: Iterable[Fact]) -> list[Fact]:
    """Let every topic grow when the run is over, and add what came of it to what was seen of F12.

    Raises:
        Unavailable: Kafka does not make the partitions.
    """
    workers = Setting(parts=ours(ground.stack.names), brokers=1).stages
    began = {part: ground.stack.log(part).stat().st_size for part in workers}
    await asyncio.to_thread(_grow, ground)
    ended = {part: await _ended(ground, part, size) for part, size in began.items()}
    again = [ended[part] and await _by_worker(ground, part, {}) for part in workers]
    grown: Seen = {"ended": all(ended.values()), "not_again": all(again)}
    return [
        replace(fact, evidence=fact.evidence | grown)
        if isinstance(fact, Struck) and fact.fault == NAME
        else fact
        for fact in facts
    ]


def _grow(ground: Ground) -> None:
    count = MORE * ground.current.topic_partitions
    names = (*EVERY_TOPIC, *map(changelog, STATEFUL_STAGES))
    client = librdkafka.admin(ground.current.kafka_bootstrap)
    made = client.create_partitions([NewPartitions(name, count) for name in names])
    try:
        for future in made.values():
            future.result()
    except KafkaException as exc:
        raise Unavailable("kafka") from exc


async def _counts(ground: Ground) -> int:
    """Return how many partitions the conversation topics have in all."""
    return len(await ground.witness.reading.ends(EVERY_TOPIC))
