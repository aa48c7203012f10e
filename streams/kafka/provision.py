"""Topics and schemas as the one topic list wants them: what differs, and how it is put right.

Rule 1: the partitions of a topic never change: every key would get another owner, and its
order and state would be lost. Rule 2: nothing is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas.avro_schema import schema_of
from schemas.errors import Misconfigured, Unavailable
from schemas.topics import DAY_MS, STATEFUL_STAGES, TOPICS, Topic, changelog
from streams.kafka.cluster import Cluster, Existing, Wanted
from streams.kafka.publish import MAX_RECORD_BYTES
from streams.kafka.registry import Registry
from streams.settings import Settings

COMPATIBILITY: Final = "FULL_TRANSITIVE"

DLQ_RETENTION_MS: Final = 30 * DAY_MS
"""A dead letter is kept as long as the longest-lived input: time for a person to look at it."""

CONFIRM_S: Final = 30.0
"""Longest time from a change to its being seen on every broker."""

REGISTER_S: Final = 30.0
"""Longest that the registry may take for one schema: nobody's lane waits for it, and it is asked
for all of them at once, at the start of a stack just after its own."""

HOUR_MS: Final = 3_600_000

CHANGELOG: Final = {
    "cleanup.policy": "compact",
    # Longer than from a zombie's write to the next recovery, which must still find what it
    # replaced: a zombie that wakes up joins again, and then everybody recovers (docs/delivery.md).
    "min.compaction.lag.ms": str(HOUR_MS),
    # The active segment is never compacted: roll it hourly, or early when states are large.
    "segment.ms": str(HOUR_MS),
    "segment.bytes": str(64 << 20),
    "min.cleanable.dirty.ratio": "0.3",
    "delete.retention.ms": str(DAY_MS),
    "max.message.bytes": str(MAX_RECORD_BYTES),
}

DEAD_LETTERS: Final = {
    "cleanup.policy": "delete",
    "retention.ms": str(DLQ_RETENTION_MS),
    # The largest record that fits its topic must fit here too, with our headers around it.
    "max.message.bytes": str(MAX_RECORD_BYTES),
}

EVERY: Final = {"compression.type": "producer"}

IN_SYNC: Final = "min.insync.replicas"
QUORUM: Final = 3
"""From so many replicas on, a write needs two of them."""


class Kind(StrEnum):
    """How something differs from what it should be."""

    MISSING = "missing"
    DIFFERENT = "different"
    EXTRA = "extra"


MISSING_TOPIC: Final = (Kind.MISSING, "topic")
MISSING_SCHEMA: Final = (Kind.MISSING, "schema")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it should be.

    Attributes:
        kind: How it differs.
        what: ``topic``, ``config``, ``partitions``, ``replicas``, ``schema``, ``compatibility``.
        name: The topic or subject, and the setting.
        found: What it is now; empty when it is missing.
        wanted: What it should be; empty when it should not be.
        fixable: True when ``apply`` puts it right.
    """

    kind: Kind
    what: str
    name: str
    found: str = ""
    wanted: str = ""
    fixable: bool = True


def wanted_topics(settings: Settings) -> tuple[Wanted, ...]:
    """Return every topic of the pipeline as it should be: inputs, dead letters, changelogs."""
    plans: list[Wanted] = []
    for topic in TOPICS:
        count = 1 if topic.single else settings.topic_partitions
        plans.append(_wanted(topic.name, count, settings, _policy(topic)))
        plans.append(_wanted(topic.dlq, count, settings, DEAD_LETTERS))
    plans += [
        _wanted(changelog(stage), settings.topic_partitions, settings, CHANGELOG)
        for stage in STATEFUL_STAGES
    ]
    return tuple(plans)


def _policy(topic: Topic) -> dict[str, str]:
    if topic.compacted:
        # A record goes only when the one that replaced it is older than this.
        lag = {"min.compaction.lag.ms": str(topic.retention_ms)}
        return {"cleanup.policy": "compact", **lag}
    return {"cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)}


def _wanted(name: str, partitions: int, settings: Settings, config: Mapping[str, str]) -> Wanted:
    replicas = settings.topic_replication
    return Wanted(name, partitions, replicas, {**EVERY, IN_SYNC: _in_sync(replicas), **config})


def _in_sync(replicas: int) -> str:
    return str(2 if replicas >= QUORUM else 1)


def topic_differences(
    wanted: tuple[Wanted, ...], existing: Mapping[str, Existing]
) -> list[Difference]:
    """Return how the topics of a cluster differ from what they should be."""
    differences: list[Difference] = []
    for topic in wanted:
        if found := existing.get(topic.name):
            differences += _of_one(topic, found)
        else:
            size = f"{topic.partitions} partitions, {topic.replicas} replicas"
            differences.append(Difference(Kind.MISSING, "topic", topic.name, wanted=size))
    ours = {topic.name.split(".")[0] for topic in wanted}
    known = {topic.name for topic in wanted}
    differences += [
        Difference(Kind.EXTRA, "topic", name, found=f"{found.partitions} partitions", fixable=False)
        for name, found in sorted(existing.items())
        if name not in known and "." in name and name.split(".")[0] in ours
    ]
    return differences


def _of_one(topic: Wanted, found: Existing) -> list[Difference]:
    numbers = (
        ("partitions", found.partitions, topic.partitions),
        ("replicas", found.replicas, topic.replicas),
    )
    differences = [
        Difference(Kind.DIFFERENT, what, topic.name, str(now), str(then), fixable=False)
        for what, now, then in numbers
        if now != then
    ]
    # Of the replicas that are there: two of one would mean that nothing can be written.
    wanted = {**topic.config, IN_SYNC: _in_sync(found.replicas)} if topic.config else {}
    differences += [
        Difference(
            Kind.DIFFERENT, "config", f"{topic.name} {name}", found.config.get(name, ""), value
        )
        for name, value in wanted.items()
        if found.config.get(name) != value
    ]
    return differences


async def schema_differences(registry: Registry) -> list[Difference]:
    """Return how the subjects of a registry differ from our schemas.

    Raises:
        Unavailable: The registry cannot be asked.
    """
    found = await asyncio.gather(*(_of_subject(registry, topic) for topic in TOPICS))
    return [change for changes in found for change in changes]


async def _of_subject(registry: Registry, topic: Topic) -> list[Difference]:
    changes: list[Difference] = []
    # Docs aside: a registry may take a schema that differs in nothing else for one that it has.
    # A newer version beside ours is no difference: an older release must be able to come back.
    if await registry.id_of(topic.subject, schema_of(topic.record)) is None:
        newest = await registry.newest(topic.subject)
        kind, version = Kind.MISSING, ""
        if newest is not None:
            kind, version = Kind.DIFFERENT, f"version {newest.version}"
        changes.append(Difference(kind, "schema", topic.subject, version, topic.record.__name__))
    level = await registry.compatibility(topic.subject)
    if level != COMPATIBILITY:
        kind = Kind.MISSING if level is None else Kind.DIFFERENT
        changes.append(Difference(kind, "compatibility", topic.subject, level or "", COMPATIBILITY))
    return changes


def refuse_partitions(differences: list[Difference]) -> None:
    """Refuse to go on when a topic has another number of partitions than it should.

    Raises:
        Misconfigured: Names the topics and the two ways out.
    """
    wrong = [change for change in differences if change.what == "partitions"]
    if wrong:
        lines = [f"  {change.name}: {change.found}, not {change.wanted}" for change in wrong]
        raise Misconfigured(
            "the number of partitions of a keyed topic is never changed: its keys would move to"
            " other partitions, away from their order and their state. Set TOPIC_PARTITIONS to"
            " what is there, or start with new topics:\n" + "\n".join(lines)
        )


async def differences(settings: Settings) -> list[Difference]:
    """Return everything that is not as it should be: topics, then schemas.

    Raises:
        Unavailable: Kafka or the registry does not answer.
    """
    existing, schemas = await asyncio.gather(
        Cluster(settings.kafka_bootstrap).topics(),
        schema_differences(_registry(settings)),
    )
    return topic_differences(wanted_topics(settings), existing) + schemas


async def apply(settings: Settings, *, execute: bool) -> list[Difference]:
    """Put right what differs, and return what did.

    Args:
        settings: Where Kafka and the registry are, and how large topics are.
        execute: False only looks.

    Raises:
        Misconfigured: A topic has the wrong number of partitions, or Kafka or the registry
            refuses a change, such as a schema that breaks compatibility.
        Unavailable: Kafka or the registry does not answer.
    """
    changes = await differences(settings)
    refuse_partitions(changes)
    if execute and any(change.fixable for change in changes):
        await _put_right(settings, changes)
        await _confirmed(settings)
    return changes


async def _confirmed(settings: Settings) -> None:
    """Wait until the brokers show what the controller has taken."""
    try:
        async with asyncio.timeout(CONFIRM_S):
            while True:
                if not any(change.fixable for change in await differences(settings)):
                    return
                await asyncio.sleep(0.1)
    except TimeoutError as exc:
        raise Unavailable("kafka") from exc


def _registry(settings: Settings) -> Registry:
    return Registry(settings.schema_registry_url, timeout_s=REGISTER_S)


async def _put_right(settings: Settings, changes: list[Difference]) -> None:
    await asyncio.gather(
        _put_topics_right(settings, changes),
        _put_schemas_right(_registry(settings), changes),
    )


async def _put_topics_right(settings: Settings, changes: list[Difference]) -> None:
    plans = {topic.name: topic for topic in wanted_topics(settings)}
    cluster = Cluster(settings.kafka_bootstrap)
    missing = [change.name for change in changes if (change.kind, change.what) == MISSING_TOPIC]
    await cluster.create([plans[name] for name in missing])
    for name, value in ((each.name, each.wanted) for each in changes if each.what == "config"):
        topic, setting = name.split()
        await cluster.configure(topic, {setting: value})


async def _put_schemas_right(registry: Registry, changes: list[Difference]) -> None:
    stale = {change.name for change in changes if change.what in ("schema", "compatibility")}
    fresh = {change.name for change in changes if (change.kind, change.what) == MISSING_SCHEMA}
    await asyncio.gather(
        *(
            _register(registry, topic, fresh=topic.subject in fresh)
            for topic in TOPICS
            if topic.subject in stale
        )
    )


async def _register(registry: Registry, topic: Topic, *, fresh: bool) -> None:
    """Judge a new version by the compatibility that it must have, not by the one that is set."""
    if not fresh:
        await registry.require(topic.subject, COMPATIBILITY)
        await registry.register(topic.subject, schema_of(topic.record))
        return
    # Some registries know no settings of a subject that has no version yet.
    await registry.register(topic.subject, schema_of(topic.record))
    await registry.require(topic.subject, COMPATIBILITY)
