"""The two layouts of the stages over consumer groups, and moving offsets from one to the other.

The changelogs are named by stage, so only committed offsets differ between one group for all
stages and one for each. Rule 1: they move only while nobody is in any of the groups, for two
layouts at once would be two writers of the same state. Rule 2: an offset never moves backwards:
what either layout has finished is finished. Rule 3: the old groups are deleted last, so that a
move that was cut short is simply made again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from confluent_kafka import TopicPartition

from schemas.errors import Misconfigured, Unavailable
from schemas.topics import STATEFUL_STAGES, TOPICS, Key
from streams.kafka.groups import Groups
from streams.kafka.naming import group_of

LOOK_S: Final = 0.25


class Layout(StrEnum):
    """How stages are spread over groups."""

    ALL_IN_ONE = "all-in-one"
    SPLIT = "split"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One committed offset to move.

    Attributes:
        source: Group that has it.
        target: Group that gets it.
        topic: The topic.
        partition: The partition.
        offset: The committed offset.
        before: What the target has committed; -1 is nothing.
    """

    source: str
    target: str
    topic: str
    partition: int
    offset: int
    before: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a move to a layout does.

    Attributes:
        to: The layout.
        moves: Offsets that its groups get.
        left: Groups of the other layout, which are deleted then.
    """

    to: Layout
    moves: Sequence[Move]
    left: Sequence[str]

    def __bool__(self) -> bool:
        return bool(self.moves or self.left)

    def lines(self) -> list[str]:
        """Return one line for each group and topic."""
        found: dict[tuple[str, str, str], list[Move]] = {}
        for move in self.moves:
            found.setdefault((move.source, move.target, move.topic), []).append(move)
        return [
            f"{source} -> {target}: {topic}, {len(rows)} partitions,"
            f" {sum(max(row.before, 0) for row in rows)} -> {sum(row.offset for row in rows)}"
            for (source, target, topic), rows in found.items()
        ]


def inputs_of(stage: str) -> list[str]:
    """Return the names of the topics that a stage reads with its group."""
    return [t.name for t in TOPICS if stage in t.readers and t.key is Key.CONVERSATION]


class Layouts:
    """The groups of all stages in both layouts.

    Attributes:
        groups: The groups of the cluster.
        inputs: Topics of each stage, by its name.
    """

    def __init__(self, groups: Groups, inputs: Mapping[str, Sequence[str]] | None = None) -> None:
        self.groups = groups
        self.inputs = inputs or {stage: inputs_of(stage) for stage in STATEFUL_STAGES}

    def plan(self, to: Layout, *, patience_s: float = 0) -> Plan:
        """Return what is to be moved to reach a layout; false when it is as far as the other.

        Args:
            to: The layout.
            patience_s: How long to wait until everybody has left the groups.

        Raises:
            Misconfigured: A group still has members.
            Unavailable: No broker answers.
        """
        there = self.idle(patience_s)
        committed = {group: self._committed(group) for group in there}
        moves: list[Move] = []
        left: dict[str, None] = {}
        for stage, (source, target) in self._pairs(to).items():
            moves += _ahead(
                (source, committed.get(source, {})),
                (target, committed.get(target, {})),
                self.inputs[stage],
            )
            if source in there:
                left[source] = None
        return Plan(to=to, moves=moves, left=list(left))

    def execute(self, plan: Plan) -> None:
        """Give the offsets to the groups of a layout, then delete those of the other one.

        Raises:
            Misconfigured: A worker came meanwhile.
            Unavailable: A broker did not take them.
        """
        wanted: dict[str, list[TopicPartition]] = {}
        for move in plan.moves:
            tp = TopicPartition(move.topic, move.partition, move.offset)
            wanted.setdefault(move.target, []).append(tp)
        for group, partitions in wanted.items():
            self.groups.commit(group, partitions)
        now = self.plan(plan.to)
        if now.moves:
            raise Misconfigured("a worker committed meanwhile: stop it, then move again")
        self.groups.delete(now.left)

    def refuse_other(self, stages: Sequence[str]) -> None:
        """Refuse to run stages that run in the other layout, or went further there.

        Raises:
            Misconfigured: The other layout went further than ours; says how to move.
            Unavailable: It still runs, or no broker answers.
        """
        ours = Layout.SPLIT if len(stages) == 1 else Layout.ALL_IN_ONE
        pairs = {stage: pair for stage, pair in self._pairs(ours).items() if stage in stages}
        theirs = sorted(self.groups.present(sorted({source for source, _ in pairs.values()})))
        for group in self.groups.members(theirs):
            raise Unavailable(group)
        for stage, (source, target) in pairs.items():
            if source in theirs and _ahead(
                (source, self._committed(source)),
                (target, self._committed(target)),
                self.inputs[stage],
            ):
                raise Misconfigured(
                    f"{stage} went further in {source} than in {target}, and would handle what is"
                    " done again: stop every worker, then run"
                    f" `whaticket groups move --to {ours} --execute`"
                )

    def idle(self, patience_s: float = 0) -> list[str]:
        """Return the groups that are there, once nobody is in them.

        Raises:
            Misconfigured: Somebody still is, after so long.
            Unavailable: No broker answers.
        """
        deadline = time.monotonic() + patience_s
        ours = sorted({group for pair in self._pairs(Layout.SPLIT).values() for group in pair})
        while True:
            there = sorted(self.groups.present(ours))
            busy = self.groups.members(there)
            if not busy:
                return there
            if time.monotonic() >= deadline:
                told = ", ".join(f"{group} ({count} members)" for group, count in busy.items())
                raise Misconfigured(f"stop the workers first; still in use: {told}")
            time.sleep(LOOK_S)

    def _pairs(self, to: Layout) -> dict[str, tuple[str, str]]:
        """Return, for each stage, its group in the other layout and in this one."""
        one = group_of(list(self.inputs))
        each = {stage: group_of([stage]) for stage in self.inputs}
        if to is Layout.SPLIT:
            return {stage: (one, group) for stage, group in each.items()}
        return {stage: (group, one) for stage, group in each.items()}

    def _committed(self, group: str) -> dict[tuple[str, int], int]:
        return {(tp.topic, tp.partition): tp.offset for tp in self.groups.committed(group)}


def _ahead(
    source: tuple[str, Mapping[tuple[str, int], int]],
    target: tuple[str, Mapping[tuple[str, int], int]],
    topics: Sequence[str],
) -> list[Move]:
    """Return where one group has committed more of some topics than another."""
    return [
        Move(
            source=source[0],
            target=target[0],
            topic=topic,
            partition=partition,
            offset=offset,
            before=target[1].get((topic, partition), -1),
        )
        for (topic, partition), offset in source[1].items()
        if topic in topics and offset > target[1].get((topic, partition), -1)
    ]
