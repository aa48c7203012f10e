"""Consumer groups as an administrator sees them: members, committed offsets, lag."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined] # untyped

from schemas.errors import Unavailable
from streams.kafka import librdkafka
from streams.kafka.naming import APP

T = TypeVar("T")
TIMEOUT_S: Final = 20.0
_LATEST: Final = OffsetSpec.latest()  # type: ignore[no-untyped-call] # ditto
OFFSETS_TOPIC: Final = "__consumer_offsets"
MOVED: Final = "moved"
"""Metadata of offsets that were audited in another group."""
EMPTY: Final = ("EMPTY", "DEAD", "UNKNOWN")
LOOK_S: Final = 0.25
PATIENT: Final = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)
"""Errors that pass by themselves.

A coordinator has just moved, or been made with the first group of a cluster; a topic is made once
its controller has it, and another broker, or another part of the same one, learns of it later.
"""


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


class Groups:
    """The consumer groups of a cluster; every question blocks until it is answered."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.admin = librdkafka.admin(bootstrap)

    def names(self) -> set[str]:
        """Return the groups that have members or committed offsets.

        Raises:
            Unavailable: No broker answers, or one of them does not.
        """

        def ask() -> set[str]:
            listed = self.admin.list_consumer_groups(request_timeout=TIMEOUT_S).result(TIMEOUT_S)
            for error in listed.errors:
                # A bare KafkaError can be raised and is no exception: nothing would ever catch it,
                # and whoever waits for this thread would wait for ever.
                raise error if isinstance(error, KafkaException) else KafkaException(error)
            return {group.group_id for group in listed.valid}

        return _patiently(ask)

    def present(self, groups: Sequence[str]) -> set[str]:
        """Return which of some groups are there, by the word of their own coordinators.

        A broker that has just started lists only the groups that it coordinates already, so a
        list alone may leave out one that has offsets.

        Raises:
            Unavailable: No broker answers, or a coordinator does not load its groups.
        """
        if OFFSETS_TOPIC not in self._topics():
            return set()  # no group was ever made, and to ask for one would make the topic
        self.members(groups)  # answered once all of their coordinators are there
        return self.names() & set(groups)

    def members(self, groups: Sequence[str]) -> dict[str, int]:
        """Return how many members those of some groups have that are not empty."""
        if not groups:
            return {}
        return {
            found.group_id: len(found.members)
            for found in _all(partial(self.admin.describe_consumer_groups, list(groups)))
            if found.members or found.state.name not in EMPTY
        }

    def instances(self, groups: Sequence[str]) -> dict[str, set[str]]:
        """Return the static members of those of some groups that have any."""
        if not groups:
            return {}
        told = _all(partial(self.admin.describe_consumer_groups, list(groups)))
        found = {
            group.group_id: {m.group_instance_id for m in group.members if m.group_instance_id}
            for group in told
        }
        return {group: names for group, names in found.items() if names}

    def held(self, group: str) -> dict[str, list[TopicPartition]]:
        """Return what each static member of a group reads."""
        return {
            member.group_instance_id: member.assignment.topic_partitions
            for found in _all(partial(self.admin.describe_consumer_groups, [group]))
            for member in found.members
            if member.group_instance_id and member.assignment
        }

    def committed(self, group: str) -> list[TopicPartition]:
        """Return the committed offsets of a group.

        A consumer asks, which never joins: the admin client's own question ends the whole process
        when the coordinator of the group has just moved.
        Source: https://github.com/confluentinc/confluent-kafka-javascript/issues/374
        """
        topics = self._topics()
        wanted = [
            TopicPartition(name, partition)
            for name, topic in topics.items()
            if not name.startswith("__")
            for partition in topic.partitions
        ]
        reader = librdkafka.consumer(self.bootstrap, group)
        try:
            found = _patiently(lambda: _whole(reader.committed(wanted, timeout=TIMEOUT_S)))
        finally:
            reader.close()
        return [tp for tp in found if tp.offset >= 0]

    def commit(self, group: str, partitions: Sequence[TopicPartition]) -> None:
        """Set committed offsets of a group that nobody is in; vouch for them as a worker does."""
        vouched = [TopicPartition(tp.topic, tp.partition, tp.offset, MOVED) for tp in partitions]
        request = [ConsumerGroupTopicPartitions(group, vouched)]
        _all(partial(self.admin.alter_consumer_group_offsets, request))

    def delete(self, groups: Sequence[str]) -> None:
        """Delete groups that nobody is in, with their offsets."""
        if groups:
            _all(partial(self.admin.delete_consumer_groups, list(groups)))

    def lags(self) -> list[Lag]:
        """Return how far every group of the pipeline is behind."""
        lags: list[Lag] = []
        for group in sorted(name for name in self.names() if name.startswith(f"{APP}.")):
            committed = self.committed(group)
            ends = self._ends(committed)
            for topic in sorted({tp.topic for tp in committed}):
                mine = [tp for tp in committed if tp.topic == topic]
                behind = sum(max(ends[tp.topic, tp.partition] - tp.offset, 0) for tp in mine)
                done = sum(tp.offset for tp in mine)
                lags.append(Lag(group=group, topic=topic, committed=done, lag=behind))
        return lags

    def _topics(self) -> dict[str, Any]:
        return _patiently(lambda: self.admin.list_topics(timeout=TIMEOUT_S).topics)

    def _ends(self, partitions: Sequence[TopicPartition]) -> dict[tuple[str, int], int]:
        if not partitions:
            return {}
        wanted = {TopicPartition(tp.topic, tp.partition): _LATEST for tp in partitions}
        found = _all(partial(self.admin.list_offsets, wanted, request_timeout=TIMEOUT_S))
        ends = [told.offset for told in found]
        return {(tp.topic, tp.partition): end for tp, end in zip(wanted, ends, strict=True)}


def _all(ask: Callable[[], dict[Any, Any]]) -> list[Any]:
    """Ask for something and return all answers."""

    def answers() -> list[Any]:
        found = [future.result(TIMEOUT_S) for future in ask().values()]
        for answer in found:
            _whole(getattr(answer, "topic_partitions", ()))
        return found

    return _patiently(answers)


def _whole(partitions: Sequence[TopicPartition]) -> Sequence[TopicPartition]:
    """Return what was answered about partitions, unless one of them has an error."""
    for tp in partitions:
        if tp.error is not None:
            raise KafkaException(tp.error)
    return partitions


def _patiently(ask: Callable[[], T]) -> T:
    """Ask, and again while a coordinator or a topic is not there yet.

    Raises:
        Unavailable: No broker answers.
    """
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return ask()
        except (KafkaException, TimeoutError) as exc:
            error = exc.args[0] if isinstance(exc, KafkaException) else None
            patient = isinstance(error, KafkaError) and error.code() in PATIENT
            if not patient or time.monotonic() > deadline:
                raise Unavailable("kafka") from exc
        time.sleep(LOOK_S)
