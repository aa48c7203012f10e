"""Co-partitioning: all topics of a stage have equal partitions, and each number is on one worker.

Only the owner of the changelog partition may write a conversation, so an input partition whose
fellows are elsewhere is left unread until the next rebalance. Faust co-partitions only topics
with the same subscribers, so this happens while a release adds a topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog
from confluent_kafka import KafkaException, TopicCollection
from faust.types import TP

from schemas.errors import Misconfigured, Unavailable
from streams.kafka import librdkafka

log = structlog.get_logger(__name__)


async def check_partitions(bootstrap: str, topics: Iterable[str]) -> int:
    """Return the common partition count of all topics.

    Raises:
        Misconfigured: A topic is missing or has another count.
        Unavailable: No broker answers.
    """
    try:
        found = (
            await asyncio.to_thread(librdkafka.admin(bootstrap).list_topics, timeout=20)
        ).topics
    except KafkaException as exc:
        raise Unavailable("kafka") from exc
    counts = {name: len(found[name].partitions) if name in found else 0 for name in sorted(topics)}
    if missing := [name for name, count in counts.items() if not count]:
        raise Misconfigured(
            f"topics are missing, run `whaticket topics apply`: {', '.join(missing)}"
        )
    if len(set(counts.values())) != 1:
        raise Misconfigured(
            "topics of one process need equal partition counts, these differ: "
            + ", ".join(f"{name} has {count}" for name, count in counts.items())
        )
    return next(iter(counts.values()))


async def topic_ids(bootstrap: str, topics: Iterable[str]) -> dict[str, str]:
    """Return the id of each topic; a topic that is created anew has another one.

    Raises:
        Unavailable: No broker answers.
    """
    client = librdkafka.admin(bootstrap)
    found = client.describe_topics(TopicCollection(sorted(topics)), request_timeout=20)
    try:
        told = {name: await asyncio.to_thread(later.result) for name, later in found.items()}
    except KafkaException as exc:
        raise Unavailable("kafka") from exc
    return {name: str(topic.topic_id) for name, topic in told.items()}


def split(assigned: set[TP], families: Iterable[frozenset[str]]) -> set[TP]:
    """Return the partitions assigned here without all of their fellows.

    Args:
        assigned: What this worker was given.
        families: For each stage, its inputs and its changelog.
    """
    lonely = {
        TP(topic, tp.partition)
        for family in families
        for tp in assigned
        if tp.topic in family and any(TP(name, tp.partition) not in assigned for name in family)
        for topic in family
    }
    if lonely := lonely & assigned:
        log.error(
            "assignment.split", partitions=sorted(f"{tp.topic}-{tp.partition}" for tp in lonely)
        )
    return lonely
