from __future__ import annotations

import pytest

from schemas.avro_schema import schema_of, spelled
from schemas.changing import replace
from schemas.errors import Misconfigured
from schemas.topics import STATEFUL_STAGES, TOPICS
from streams.kafka.cluster import Existing, Wanted
from streams.kafka.provision import (
    COMPATIBILITY,
    IN_SYNC,
    Difference,
    Kind,
    refuse_partitions,
    schema_differences,
    topic_differences,
    wanted_topics,
)
from streams.kafka.registry import Registered, Registry
from streams.settings import Settings

SETTINGS = Settings(topic_partitions=12, topic_replication=3)
WANTED = wanted_topics(SETTINGS)
BY_NAME = {topic.name: topic for topic in WANTED}


def _as_wanted() -> dict[str, Existing]:
    return {
        topic.name: Existing(
            topic.partitions, topic.replicas, {**topic.config, "flush.ms": "9223372036854775807"}
        )
        for topic in WANTED
    }


def _with(name: str, **changes: object) -> dict[str, Existing]:
    existing = _as_wanted()
    existing[name] = replace(existing[name], **changes)  # type: ignore[arg-type]  # kept short
    return existing


def test_every_topic_has_dead_letters_and_every_stateful_stage_a_changelog() -> None:
    assert set(BY_NAME) == {
        *(topic.name for topic in TOPICS),
        *(f"{topic.name}.dlq" for topic in TOPICS),
        *(f"whaticket.{stage}.changelog" for stage in STATEFUL_STAGES),
    }


def test_all_conversation_topics_have_one_partition_count() -> None:
    odd = {topic.name: topic.partitions for topic in WANTED if topic.partitions != 12}

    assert odd == {"tenant.settings.changed": 1, "tenant.settings.changed.dlq": 1}


@pytest.mark.parametrize(
    ("name", "config"),
    [
        (
            "inbox.message.received",
            {
                "compression.type": "producer",
                "min.insync.replicas": "2",
                "cleanup.policy": "delete",
                "retention.ms": "2592000000",
            },
        ),
        (
            "tenant.settings.changed",
            {
                "compression.type": "producer",
                "min.insync.replicas": "2",
                "cleanup.policy": "compact",
                "min.compaction.lag.ms": "2678400000",
            },
        ),
        (
            "inbox.message.received.dlq",
            {
                "compression.type": "producer",
                "min.insync.replicas": "2",
                "cleanup.policy": "delete",
                "retention.ms": "2592000000",
                "max.message.bytes": "4194304",
            },
        ),
        (
            "whaticket.dispatch.changelog",
            {
                "compression.type": "producer",
                "min.insync.replicas": "2",
                "cleanup.policy": "compact",
                "min.compaction.lag.ms": "3600000",
                "segment.ms": "3600000",
                "segment.bytes": "67108864",
                "min.cleanable.dirty.ratio": "0.3",
                "delete.retention.ms": "86400000",
                "max.message.bytes": "4194304",
            },
        ),
    ],
)
def test_each_kind_of_topic_has_its_settings(name: str, config: dict[str, str]) -> None:
    assert BY_NAME[name].config == config


@pytest.mark.parametrize(("replicas", "in_sync"), [(1, "1"), (2, "1"), (3, "2")])
def test_a_write_needs_two_replicas_when_there_are_three(replicas: int, in_sync: str) -> None:
    topics = wanted_topics(Settings(topic_replication=replicas))

    assert {topic.config["min.insync.replicas"] for topic in topics} == {in_sync}


def test_a_provisioned_cluster_has_no_differences() -> None:
    assert topic_differences(WANTED, _as_wanted()) == []


def test_an_empty_cluster_misses_every_topic() -> None:
    missing = topic_differences(WANTED, {})

    assert [(change.kind, change.name) for change in missing] == [
        (Kind.MISSING, topic.name) for topic in WANTED
    ]


NAME = "routing.handoff.requested"


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        (
            _with(NAME, config={**BY_NAME[NAME].config, "retention.ms": "60000"}),
            Difference(Kind.DIFFERENT, "config", f"{NAME} retention.ms", "60000", "1209600000"),
        ),
        (
            _with(NAME, partitions=6),
            Difference(Kind.DIFFERENT, "partitions", NAME, "6", "12", fixable=False),
        ),
        (
            _with(NAME, replicas=1, config={**BY_NAME[NAME].config, IN_SYNC: "1"}),
            Difference(Kind.DIFFERENT, "replicas", NAME, "1", "3", fixable=False),
        ),
        (
            {**_as_wanted(), "outbound.message.sent": Existing(12, 3, {})},
            Difference(
                Kind.EXTRA, "topic", "outbound.message.sent", "12 partitions", fixable=False
            ),
        ),
    ],
)
def test_each_way_to_differ_is_shown(existing: dict[str, Existing], expected: Difference) -> None:
    assert topic_differences(WANTED, existing) == [expected]


@pytest.mark.parametrize(("replicas", "found", "wanted"), [(1, "2", "1"), (3, "1", "2")])
def test_as_many_replicas_must_have_a_record_as_the_topic_that_is_there_can_have(
    replicas: int, found: str, wanted: str
) -> None:
    """Two of one replica would be no write at all: replicas are nothing that `apply` adds."""
    existing = _with(NAME, replicas=replicas, config={**BY_NAME[NAME].config, IN_SYNC: found})

    (change,) = [each for each in topic_differences(WANTED, existing) if each.fixable]

    assert change == Difference(Kind.DIFFERENT, "config", f"{NAME} {IN_SYNC}", found, wanted)


def test_topics_of_other_systems_are_none_of_our_business() -> None:
    existing = {**_as_wanted(), "billing.invoices": Existing(1, 1, {}), "inbox": Existing(1, 1, {})}

    assert topic_differences(WANTED, existing) == []


@pytest.mark.parametrize("partitions", [6, 48])
def test_the_partitions_of_a_keyed_topic_are_never_changed(partitions: int) -> None:
    wanted = (Wanted(NAME, 12, 1, {}),)
    found = topic_differences(wanted, {NAME: Existing(partitions, 1, {})})

    with pytest.raises(Misconfigured, match=f"{NAME}: {partitions}, not 12"):
        refuse_partitions(found)


class Shelf(Registry):
    """A registry whose only versions are ours, but for what a test changes."""

    def __init__(self, **changes: object) -> None:
        super().__init__("http://nowhere")
        self.changes = changes

    async def versions(self, _: str) -> tuple[int, ...]:
        return (2,)

    async def _version(self, subject: str, _: str) -> Registered:
        (record,) = (topic.record for topic in TOPICS if topic.subject == subject)
        return Registered(1, 2, spelled(schema_of(record)) | self.changes)

    async def compatibility(self, _: str) -> str:
        return COMPATIBILITY


async def test_a_schema_that_differs_in_its_docs_alone_is_ours() -> None:
    """Apicurio keeps the old docs then: waiting for the new ones would never end."""
    shelf = Shelf(doc="as an earlier release wrote it")

    assert await schema_differences(shelf) == []


async def test_a_schema_that_differs_in_its_fields_is_another_one() -> None:
    shelf = Shelf(fields=[])

    found = await schema_differences(shelf)

    assert {change.name for change in found} == {topic.subject for topic in TOPICS}
