"""Partitions of topics that a sink does not read, which a group may give it all the same."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.subscription_state import SubscriptionState

from streams.consumer.seat import Seat
from tests.streams.loop.toy import toy_settings

READ, DROPPED = TopicPartition("orders.read", 3), TopicPartition("orders.dropped", 3)


class Member:
    """aiokafka's consumer without a broker: its subscription is the real one."""

    def __init__(self) -> None:
        self._subscription = SubscriptionState()
        self._coordinator = SimpleNamespace(request_rejoin=self.join)
        self._fetcher = SimpleNamespace(
            _client=SimpleNamespace(cluster=None), _get_actions_per_node=None
        )
        self.joined = 0

    def join(self) -> None:
        self.joined += 1

    async def start(self) -> None:
        """Find the broker."""

    async def topics(self) -> set[str]:
        return {READ.topic, DROPPED.topic}

    def subscribe(self, topics: Iterable[str], listener: Any) -> None:
        self._subscription.subscribe(set(topics), listener=listener)

    def given(self, *places: TopicPartition) -> set[TopicPartition]:
        """Be given partitions by the leader of the group."""
        self._subscription.assign_from_subscribed(list(places))
        assigned: set[TopicPartition] = self._subscription.assigned_partitions()
        return assigned


async def test_a_sink_leaves_out_partitions_that_it_does_not_read_and_joins_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    member = Member()
    settings = toy_settings("127.0.0.1:1", static_membership=False)
    seat = Seat([READ.topic], "orders.sink", settings)
    monkeypatch.setattr(seat, "_consumer", lambda: member)
    await seat.start()

    given = [member.given(DROPPED, READ), member.given(DROPPED)]

    assert given == [{READ}, set()]
    assert member.joined == 1
