from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import UnknownError
from faust.types import TP

from streams.consumer.inloop import FETCH_WAIT_MS, IDLE_FETCH_WAIT_MS, InLoopConsumer
from streams.consumer.ledger import Ledger
from streams.consumer.positions import Positions
from streams.state.proof import Proof


@pytest.mark.parametrize(
    ("moves", "waits_ms"),
    [
        ([(100.0, True), (100.9, False)], FETCH_WAIT_MS),
        ([(100.0, True), (101.1, False)], IDLE_FETCH_WAIT_MS),
        ([(100.0, True), (101.1, False), (101.2, True)], FETCH_WAIT_MS),
    ],
    ids=["just now", "quiet", "again"],
)
def test_a_fetch_waits_long_only_where_nothing_came_for_a_while(
    moves: list[tuple[float, bool]], waits_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetcher = SimpleNamespace(_fetch_max_wait_ms=0)
    consumer: Any = InLoopConsumer.__new__(InLoopConsumer)
    consumer._consumer = SimpleNamespace(_fetcher=fetcher)
    consumer.moved_at = 0.0
    for at_s, moved in moves:
        monkeypatch.setattr("streams.consumer.inloop.time.monotonic", lambda at_s=at_s: at_s)
        consumer.pace(moved)

    assert fetcher._fetch_max_wait_ms == waits_ms


@pytest.mark.parametrize(
    ("at", "delivered", "due"),
    [
        (7, None, 7),
        (10, None, 10),
        (15, None, 5),
        (15, 12, 12),
        (12, 12, 12),
        (11, 12, 11),
    ],
    ids=[
        "before its events begin nothing is missed",
        "where they begin neither",
        "behind, its proof is wanted too",
        "what was not delivered",
        "everything was",
        "a rewind is not undone",
    ],
)
def test_what_was_fetched_and_not_delivered_is_due_again(
    at: int, delivered: int | None, due: int
) -> None:
    tp, positions = TP("m", 0), Positions()
    positions.set([tp], {tp: 10}, {tp: 0}, {tp: Proof(5, 1)})
    ledgers = {} if delivered is None else {tp: Ledger(delivered)}
    consumer: Any = InLoopConsumer.__new__(InLoopConsumer)
    consumer.consumer = SimpleNamespace(ledgers=ledgers, positions=positions)

    assert consumer._due(TopicPartition(*tp), at) == due


async def test_what_ends_the_keeping_of_a_place_in_the_group_is_heard_of() -> None:
    """aiokafka waits until somebody looks; its own fetch would, but Faust's goes past it."""
    consumer: Any = InLoopConsumer.__new__(InLoopConsumer)
    client = AIOKafkaConsumer(group_id="g", enable_auto_commit=False)
    client._subscription.register_fetch_waiters(set())
    coordinator: Any = GroupCoordinator.__new__(GroupCoordinator)
    vars(coordinator).update(
        _subscription=client._subscription,
        _closing=asyncio.get_running_loop().create_future(),
        _coordination_task=asyncio.get_running_loop().create_future(),
    )
    consumer._consumer = SimpleNamespace(_coordinator=coordinator)
    waits = asyncio.ensure_future(coordinator._push_error_to_user(UnknownError()))

    with pytest.raises(UnknownError):
        consumer.check()
    await asyncio.wait_for(waits, 1)
    consumer.check()
    await client.stop()
