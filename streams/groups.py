"""Consumer groups: how far each one is, and moving offsets between the two layouts.

The changelogs are named by stage, so only committed offsets differ between one group for all
stages and one for each. They may be copied only while nobody is in any of the groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, re-exported untyped
    AdminClient,
    OffsetSpec,
)

from schemas.errors import Misconfigured, Unavailable
from schemas.topics import STATEFUL_STAGES, TOPICS, Key
from streams.engine import group_of

TIMEOUT_S: Final = 20.0
_LATEST: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call] # ditto
EMPTY: Final = ("EMPTY", "DEAD", "UNKNOWN")


class Layout(StrEnum):
    """How stages are spread over groups."""

    ALL_IN_ONE = "all-in-one"
    SPLIT = "split"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One committed offset to copy.

    Attributes:
        source: Group that has it.
        target: Group that gets it.
        topic: The topic.
        partition: The partition.
        offset: The committed offset.
    """

    source: str
    target: str
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far a group is behind on one topic.

    Attributes:
        group: The group.
        topic: The topic.
        committed: Sum of its committed offsets.
        lag: Records behind the end, over all partitions with a committed offset.
    """

    group: str
    topic: str
    committed: int
    lag: int


def inputs_of(stage: str) -> list[str]:
    """Return the names of the topics that a stage reads with its group."""
    return [t.name for t in TOPICS if stage in t.readers and t.key is Key.CONVERSATION]


class Groups:
    """The consumer groups of the pipeline.

    Attributes:
        inputs: Topics of each stage, by its name.
    """

    def __init__(self, bootstrap: str, inputs: Mapping[str, Sequence[str]] | None = None) -> None:
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.inputs = inputs or {stage: inputs_of(stage) for stage in STATEFUL_STAGES}

    def plan(self, to: Layout) -> list[Move]:
        """Return the offsets to copy to reach a layout.

        Raises:
            Misconfigured: A group still has members, or no offset was ever committed.
            Unavailable: No broker answers.
        """
        one, each = group_of(list(self.inputs)), [group_of([stage]) for stage in self.inputs]
        self.refuse_members([one, *each])
        moves: list[Move] = []
        for stage, group in zip(self.inputs, each, strict=True):
            source, target = (one, group) if to is Layout.SPLIT else (group, one)
            wanted = set(self.inputs[stage])
            moves += [
                Move(
                    source=source,
                    target=target,
                    topic=tp.topic,
                    partition=tp.partition,
                    offset=tp.offset,
                )
                for tp in self.committed(source)
                if tp.topic in wanted
            ]
        if not moves:
            raise Misconfigured(f"nothing to move to {to}: the other layout never committed")
        return moves

    def execute(self, moves: Iterable[Move]) -> None:
        """Copy the offsets.

        Raises:
            Unavailable: A broker did not take them.
        """
        wanted: dict[str, list[TopicPartition]] = {}
        for move in moves:
            tp = TopicPartition(move.topic, move.partition, move.offset)
            wanted.setdefault(move.target, []).append(tp)
        for group, partitions in wanted.items():
            request = [ConsumerGroupTopicPartitions(group, partitions)]
            _all(self.admin.alter_consumer_group_offsets(request))

    def refuse_members(self, groups: Sequence[str]) -> None:
        """Raise Misconfigured while anybody is in one of the groups."""
        busy = [
            f"{found.group_id} ({len(found.members)} members)"
            for found in _all(self.admin.describe_consumer_groups(list(groups)))
            if found.members or found.state.name not in EMPTY
        ]
        if busy:
            raise Misconfigured(f"stop the workers first; still in use: {', '.join(busy)}")

    def committed(self, group: str) -> list[TopicPartition]:
        """Return the committed offsets of a group."""
        found = _all(self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
        return [tp for tp in found[0].topic_partitions if tp.offset >= 0]

    def lags(self) -> list[Lag]:
        """Return how far every group of the pipeline is behind."""
        listed = self.admin.list_consumer_groups(request_timeout=TIMEOUT_S).result()
        names = sorted(g.group_id for g in listed.valid if g.group_id.startswith("whaticket."))
        lags: list[Lag] = []
        for group in names:
            committed = self.committed(group)
            ends = self._ends(committed)
            for topic in sorted({tp.topic for tp in committed}):
                mine = [tp for tp in committed if tp.topic == topic]
                behind = sum(max(ends[tp.topic, tp.partition] - tp.offset, 0) for tp in mine)
                done = sum(tp.offset for tp in mine)
                lags.append(Lag(group=group, topic=topic, committed=done, lag=behind))
        return lags

    def _ends(self, partitions: Sequence[TopicPartition]) -> dict[tuple[str, int], int]:
        if not partitions:
            return {}
        wanted = {TopicPartition(tp.topic, tp.partition): _LATEST for tp in partitions}
        found = self.admin.list_offsets(wanted, request_timeout=TIMEOUT_S)
        offsets = [told.offset for told in _all(found)]
        return {(tp.topic, tp.partition): end for tp, end in zip(found, offsets, strict=True)}


def _all(futures: dict[Any, Any]) -> list[Any]:
    """Wait for all answers."""
    try:
        return [future.result(TIMEOUT_S) for future in futures.values()]
    except (KafkaException, TimeoutError) as exc:
        raise Unavailable("kafka") from exc
