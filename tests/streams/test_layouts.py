from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined] # untyped

from schemas.errors import Misconfigured, Unavailable
from schemas.topics import STATEFUL_STAGES
from streams.kafka.groups import LOOK_S, Groups
from streams.kafka.layouts import Layout, Layouts, Move, Plan, inputs_of
from streams.local.stack import Stack

PIPELINE = "whaticket.pipeline"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two stages with topics of their own, ``talk`` and ``think``."""

    layouts: Layouts
    name: str

    @property
    def groups(self) -> Groups:
        return self.layouts.groups

    @property
    def stages(self) -> list[str]:
        return list(self.layouts.inputs)

    @property
    def talk(self) -> str:
        return f"whaticket.talk-{self.name}"

    @property
    def think(self) -> str:
        return f"whaticket.think-{self.name}"

    def move(self, to: Layout) -> Plan:
        plan = self.layouts.plan(to)
        self.layouts.execute(plan)
        return plan

    def commit(self, group: str, *places: tuple[str, int, int]) -> None:
        at = [TopicPartition(f"{topic}-{self.name}", p, offset) for topic, p, offset in places]
        self.groups.commit(group, at)

    def committed(self, group: str) -> set[tuple[str, int, int]]:
        return {
            (tp.topic.removesuffix(f"-{self.name}"), tp.partition, tp.offset)
            for tp in self.groups.committed(group)
        }

    @asynccontextmanager
    async def member(self, group: str) -> AsyncIterator[None]:
        consumer = AIOKafkaConsumer(
            f"talked-{self.name}",
            bootstrap_servers=self.groups.bootstrap,
            group_id=group,
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            yield
        finally:
            await consumer.stop()


def create(groups: Groups, *topics: str) -> None:
    for future in groups.admin.create_topics([NewTopic(topic, 3, 1) for topic in topics]).values():
        future.result()


@pytest.fixture
def pair(stack: Stack) -> Iterator[Pair]:
    name = uuid4().hex[:8]
    groups = Groups(stack.kafka_bootstrap)
    topics = [f"talked-{name}", f"thought-{name}"]
    create(groups, *topics)
    inputs = {f"talk-{name}": topics[:1], f"think-{name}": topics[1:]}
    found = Pair(Layouts(groups, inputs), name)
    yield found
    groups.delete(sorted({PIPELINE, found.talk, found.think} & groups.names()))


def test_the_inputs_of_every_stage_are_topics_of_conversations() -> None:
    assert "conversation.timer.fired" in inputs_of("dispatch")
    assert "tenant.settings.changed" not in inputs_of("dispatch")
    assert all(inputs_of(stage) for stage in STATEFUL_STAGES)


def test_a_move_is_told_once_for_each_topic() -> None:
    moves = [
        Move(source="a", target="b", topic="t", partition=partition, offset=at, before=before)
        for partition, at, before in [(0, 5, -1), (1, 7, 3)]
    ]
    assert Plan(to=Layout.SPLIT, moves=moves, left=[]).lines() == [
        "a -> b: t, 2 partitions, 3 -> 12"
    ]


@pytest.mark.integration
def test_offsets_move_to_the_groups_of_each_stage_and_back(pair: Pair) -> None:
    pair.commit(PIPELINE, ("talked", 2, 0), ("thought", 1, 4))

    there = pair.move(Layout.SPLIT)
    split = [pair.committed(group) for group in (pair.talk, pair.think)]
    pair.commit(pair.think, ("thought", 0, 9))
    back = pair.move(Layout.ALL_IN_ONE)

    assert {(m.source, m.target, m.partition, m.offset) for m in there.moves} == {
        (PIPELINE, pair.talk, 2, 0),
        (PIPELINE, pair.think, 1, 4),
    }
    assert there.left == [PIPELINE]
    assert split == [{("talked", 2, 0)}, {("thought", 1, 4)}]
    assert back.left == [pair.talk, pair.think]
    assert pair.committed(PIPELINE) == {("talked", 2, 0), ("thought", 1, 4), ("thought", 0, 9)}
    assert not {pair.talk, pair.think} & pair.groups.names()


@pytest.mark.integration
async def test_offsets_are_set_of_a_topic_that_the_broker_does_not_know_yet(pair: Pair) -> None:
    place = TopicPartition(f"late-{pair.name}", 0, 7)
    setting = asyncio.create_task(asyncio.to_thread(pair.groups.commit, pair.talk, [place]))
    await asyncio.sleep(2 * LOOK_S)
    early = setting.done()

    create(pair.groups, place.topic)
    await setting

    assert not early
    assert pair.committed(pair.talk) == {("late", 0, 7)}


@pytest.mark.integration
def test_a_move_that_was_made_is_not_made_again(pair: Pair) -> None:
    pair.commit(PIPELINE, ("talked", 0, 3))

    assert pair.move(Layout.SPLIT)
    assert not pair.layouts.plan(Layout.SPLIT)


@pytest.mark.integration
def test_an_offset_never_moves_backwards(pair: Pair) -> None:
    pair.commit(PIPELINE, ("talked", 0, 3), ("talked", 1, 8))
    pair.commit(pair.talk, ("talked", 0, 5), ("talked", 1, 6))

    plan = pair.move(Layout.SPLIT)

    assert [(m.partition, m.before, m.offset) for m in plan.moves] == [(1, 6, 8)]
    assert pair.committed(pair.talk) == {("talked", 0, 5), ("talked", 1, 8)}


@pytest.mark.integration
@pytest.mark.parametrize("old", [True, False])
async def test_offsets_do_not_move_while_a_worker_is_in_either_group(pair: Pair, old: bool) -> None:
    pair.commit(PIPELINE, ("talked", 0, 3))
    group = PIPELINE if old else pair.talk

    async with pair.member(group):
        with pytest.raises(Misconfigured, match=rf"still in use: {group} \(1 members\)"):
            await asyncio.to_thread(pair.layouts.plan, Layout.SPLIT)
        waiting = asyncio.create_task(
            asyncio.to_thread(pair.layouts.plan, Layout.SPLIT, patience_s=60)
        )

    assert [move.offset for move in (await waiting).moves] == [3]


@pytest.mark.integration
async def test_a_worker_that_came_meanwhile_keeps_the_old_group(pair: Pair) -> None:
    pair.commit(PIPELINE, ("talked", 0, 3))
    plan = pair.layouts.plan(Layout.SPLIT)

    async with pair.member(PIPELINE):
        with pytest.raises(Misconfigured, match="stop the workers first"):
            await asyncio.to_thread(pair.layouts.execute, plan)

    assert pair.committed(PIPELINE) == {("talked", 0, 3)}


@pytest.mark.integration
async def test_a_stage_waits_while_the_other_layout_runs(pair: Pair) -> None:
    one = pair.stages[:1]

    async with pair.member(PIPELINE):
        with pytest.raises(Unavailable, match=PIPELINE):
            await asyncio.to_thread(pair.layouts.refuse_other, one)
        await asyncio.to_thread(pair.layouts.refuse_other, pair.stages)

    pair.layouts.refuse_other(one)


@pytest.mark.integration
def test_a_stage_that_went_further_in_the_other_layout_is_refused(pair: Pair) -> None:
    one = pair.stages[:1]
    pair.commit(pair.talk, ("talked", 0, 4))
    pair.layouts.refuse_other(one)

    with pytest.raises(Misconfigured, match="whaticket groups move --to all-in-one --execute"):
        pair.layouts.refuse_other(pair.stages)
    pair.move(Layout.ALL_IN_ONE)

    pair.layouts.refuse_other(pair.stages)
    with pytest.raises(Misconfigured, match="whaticket groups move --to split --execute"):
        pair.layouts.refuse_other(one)
