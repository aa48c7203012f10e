"""Topics of one benchmark: created, waited for, and removed at its end."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import uuid4

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, re-exported untyped
    NewTopic,
    OffsetSpec,
)

from streams.kafka import librdkafka

PARTITIONS: Final = 4
HOPS: Final = 5
"""Hops of a chain: with two acknowledged writes each, as many as a message of the pipeline."""
POLL_S: Final = 0.02
PATIENCE_S: Final = 120.0
COMPACTED: Final = {"cleanup.policy": "compact"}
_LATEST: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call] # the library has no types


def hop_topic(run: str, number: int) -> str:
    """Return the input of a hop, from 0; of one after the last hop, the end of the chain."""
    return f"bench.{run}.hop.{number}"


def hop_stage(run: str, number: int) -> str:
    """Return the name of a hop's stage, by which its changelog topic is named."""
    return f"bench-{run}-{number}"


class Topics:
    """Topics of one run.

    Attributes:
        run: Told apart from every other run.
    """

    def __init__(self, bootstrap: str) -> None:
        self.run = uuid4().hex[:8]
        self.admin = librdkafka.admin(bootstrap)
        self.made: list[str] = []

    async def make(self, name: str, *, compacted: bool = False) -> str:
        """Create a topic and wait until its leaders know it; return its name."""
        new = NewTopic(name, PARTITIONS, 1, config=COMPACTED if compacted else {})
        self.admin.create_topics([new])[name].result()
        self.made.append(name)
        async with asyncio.timeout(PATIENCE_S):
            while not self._led(name):  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(POLL_S)
        return name

    def remove(self) -> None:
        """Delete what was made."""
        if self.made:
            self.admin.delete_topics(self.made)

    def _led(self, name: str) -> bool:
        """Tell whether the leaders serve a topic.

        The metadata is asked for first: a client that once heard of no leader goes on believing
        it for long.
        """
        told = self.admin.list_topics(name).topics[name].partitions.values()
        if len(told) < PARTITIONS or any(partition.leader < 0 for partition in told):
            return False
        wanted = {TopicPartition(name, number): _LATEST for number in range(PARTITIONS)}
        return not any(end.exception() for end in self.admin.list_offsets(wanted).values())
