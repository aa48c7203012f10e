"""The planner chooses what aiokafka's own look chooses, and looks less."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.structs import BrokerMetadata, PartitionMetadata, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from streams.consumer.fetching import Planner

NODES = (1, 2, 3)
NOBODY = -1
PARTITION = st.fixed_dictionaries(
    {
        "leader": st.sampled_from((*NODES, *NODES, NOBODY, None)),
        "position": st.sampled_from((3, 8, 8, 8, None)),
        "paused": st.booleans(),
        "left_s": st.sampled_from((None, None, None, 0, 0.02, 0.05)),  # of records not consumed
    }
)


class Around:
    """A fetcher of aiokafka's whose partitions stand as they are told to."""

    def __init__(self, partitions: list[dict[str, Any]], busy: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        self.looks = 0
        places = {TopicPartition("t", n): each for n, each in enumerate(partitions)}
        self.cluster = ClusterMetadata()
        self.cluster._brokers = {node: BrokerMetadata(node, "host", 1, None) for node in NODES}
        self.lead({tp.partition: each["leader"] for tp, each in places.items()})
        self.assignment = Assignment(list(places))
        self.fetcher: Any = Fetcher.__new__(Fetcher)
        vars(self.fetcher).update(
            _client=SimpleNamespace(cluster=self.cluster),
            _client_rack=None,
            _fetch_max_bytes=4096,
            _fetch_max_wait_ms=20,
            _fetch_min_bytes=1,
            _fetcher_timeout=0.2,
            _in_flight=set(busy),
            _isolation_level=0,
            _max_partition_fetch_bytes=1024,
            _preferred_read_replica={},
            _records={},
        )
        for tp, each in places.items():
            self._stand(tp, each)

    def _stand(self, tp: TopicPartition, each: dict[str, Any]) -> None:
        state = self.assignment.state_value(tp)
        if each["position"] is not None:
            state.seek(each["position"])
        if each["paused"]:
            state.pause()
        if each["left_s"] is not None:
            left_s = each["left_s"]
            kept = SimpleNamespace(calculate_backoff=lambda: left_s)
            self.fetcher._records[tp] = kept

    def lead(self, leaders: dict[int, int | None]) -> None:
        """Let new metadata say who leads."""
        self.cluster._partitions = {
            "t": {
                number: PartitionMetadata("t", number, node, [], [], None)
                for number, node in leaders.items()
                if node is not None
            }
        }

    def planner(self) -> Planner:
        """The planner of the fetcher; aiokafka's own looks are counted."""
        own = self.fetcher._get_actions_per_node

        def counted(assignment: Assignment) -> Any:
            self.looks += 1
            return own(assignment)

        self.fetcher._get_actions_per_node = counted
        return Planner(self.fetcher)


def partition(leader: int | None = 1, **other: Any) -> dict[str, Any]:
    """A partition from which records can be fetched, unless told otherwise."""
    return {"leader": leader, "position": 8, "paused": False, "left_s": None, **other}


def plain(planned: Any) -> Any:
    """A plan without the order of partitions and without what resumes."""
    fetches, resets, wait_s, unknown_leader, _ = planned
    return (
        {
            node: sorted((topic, *row) for topic, rows in request.topics for row in rows)
            for node, request in fetches
        },
        {node: sorted(tps) for node, tps in resets.items()},
        wait_s,
        unknown_leader,
    )


@pytest.fixture(autouse=True)
async def _loop() -> None:
    """Futures of aiokafka's states need a running loop."""


@given(partitions=st.lists(PARTITION, max_size=6), busy=st.sets(st.sampled_from(NODES), max_size=2))
async def test_it_plans_what_aiokafka_plans(
    partitions: list[dict[str, Any]], busy: set[int]
) -> None:
    around = Around(partitions, busy)
    wanted = plain(around.fetcher._get_actions_per_node(around.assignment))

    assert plain(around.planner().plan(around.assignment)) == wanted


async def test_of_plain_partitions_it_never_lets_aiokafka_look() -> None:
    around = Around([partition(1), partition(2, paused=True), partition(1, left_s=0)], {2})
    planner = around.planner()

    planned = planner.plan(around.assignment)

    assert plain(planned)[0] == {1: [("t", 0, 8, 1024)]}
    assert around.looks == 0


@pytest.mark.parametrize("odd", [partition(NOBODY), partition(None), partition(position=None)])
async def test_a_partition_without_leader_or_position_is_left_to_aiokafka(
    odd: dict[str, Any],
) -> None:
    around = Around([partition(1), odd])

    around.planner().plan(around.assignment)

    assert around.looks == 1


async def test_while_every_broker_is_asked_nothing_is_looked_at() -> None:
    around = Around([partition(NOBODY)], set(NODES))

    assert around.planner().plan(around.assignment) == ([], {}, 0.2, False, [])
    assert around.looks == 0


async def test_no_pause_is_waited_for() -> None:
    around = Around([partition(paused=True), partition(NOBODY)])

    assert around.planner().plan(around.assignment)[-1] == []


async def test_new_metadata_are_a_new_leader() -> None:
    around = Around([partition(1)])
    planner = around.planner()
    before = plain(planner.plan(around.assignment))[0]
    around.lead({0: 2})

    assert [*before, *plain(planner.plan(around.assignment))[0]] == [1, 2]


async def test_a_new_assignment_is_other_partitions() -> None:
    around = Around([partition(1)])
    planner = around.planner()
    planner.plan(around.assignment)
    other = Assignment([TopicPartition("t", 0)])
    other.state_value(TopicPartition("t", 0)).seek(77)

    assert plain(planner.plan(other))[0] == {1: [("t", 0, 77, 1024)]}
