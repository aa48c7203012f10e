from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined] # untyped

from schemas.errors import Unavailable
from streams.kafka.groups import Groups, Lag
from streams.local.stack import Stack

pytestmark = pytest.mark.integration


async def test_a_group_is_as_far_behind_as_records_came_after_its_offsets(stack: Stack) -> None:
    groups = Groups(stack.kafka_bootstrap)
    topic, group = f"read-{uuid4().hex[:8]}", f"whaticket.reader-{uuid4().hex[:8]}"
    (made,) = groups.admin.create_topics([NewTopic(topic, 3, 1)]).values()
    made.result()
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all")
    await producer.start()
    for partition in (0, 0, 0, 1):
        await producer.send_and_wait(topic, b"record", partition=partition)
    await producer.stop()

    at = [TopicPartition(topic, 0, 1), TopicPartition(topic, 1, 1)]
    await asyncio.to_thread(groups.commit, group, at)
    lags = await asyncio.to_thread(groups.lags)

    assert [lag for lag in lags if lag.group == group] == [
        Lag(group=group, topic=topic, committed=2, lag=2)
    ]
    groups.delete([group])
    assert group not in groups.names()


class Starting:
    """A broker that has just started: it lists a group only once it coordinates it."""

    def __init__(self, group: str, refusals: int, errors: Sequence[object] = ()) -> None:
        self.group = group
        self.refusals = refusals
        self.errors = [*errors]

    def list_topics(self, timeout: float) -> SimpleNamespace:
        return SimpleNamespace(topics={"__consumer_offsets": None}, timeout=timeout)

    def describe_consumer_groups(self, groups: list[str]) -> dict[str, Future[SimpleNamespace]]:
        told: Future[SimpleNamespace] = Future()
        if self.refusals:
            self.refusals -= 1
            told.set_exception(KafkaException(KafkaError(KafkaError.NOT_COORDINATOR)))
        else:
            empty = SimpleNamespace(name="EMPTY")
            told.set_result(SimpleNamespace(group_id=groups[0], members=[], state=empty))
        return {groups[0]: told}

    def list_consumer_groups(self, request_timeout: float) -> Future[SimpleNamespace]:
        told: Future[SimpleNamespace] = Future()
        valid = [] if self.refusals else [SimpleNamespace(group_id=self.group)]
        errors = [self.errors.pop()] if self.errors else []
        told.set_result(SimpleNamespace(errors=errors, valid=valid, timeout=request_timeout))
        return told


def test_a_group_is_found_at_a_broker_that_has_just_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.kafka.groups.LOOK_S", 0.001)
    groups = Groups("127.0.0.1:1")
    monkeypatch.setattr(groups, "admin", Starting("whaticket.dispatch", refusals=2))

    assert groups.present(["whaticket.dispatch"]) == {"whaticket.dispatch"}


LOADING = KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS)


@pytest.mark.parametrize("error", [LOADING, KafkaException(LOADING)], ids=["error", "exception"])
async def test_a_broker_that_has_its_groups_not_yet_is_asked_again_and_holds_up_no_thread(
    monkeypatch: pytest.MonkeyPatch, error: object
) -> None:
    monkeypatch.setattr("streams.kafka.groups.LOOK_S", 0.001)
    groups = Groups("127.0.0.1:1")
    admin = Starting("whaticket.dispatch", refusals=0, errors=[error, error])
    monkeypatch.setattr(groups, "admin", admin)

    asked = asyncio.to_thread(groups.present, ["whaticket.dispatch"])

    assert await asyncio.wait_for(asked, 5) == {"whaticket.dispatch"}


class Gone:
    """An admin client of brokers that went away."""

    def list_topics(self, timeout: float) -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, f"nobody in {timeout} s"))


@pytest.mark.parametrize("ask", [Groups.committed, Groups.present])
def test_brokers_that_went_away_are_not_available(
    ask: Callable[[Groups, str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.kafka.groups.TIMEOUT_S", 0.01)
    groups = Groups("127.0.0.1:1")
    monkeypatch.setattr(groups, "admin", Gone())

    with pytest.raises(Unavailable, match="kafka"):
        ask(groups, "whaticket.dispatch")


async def test_a_group_that_never_was_is_not_there(stack: Stack) -> None:
    groups = Groups(stack.kafka_bootstrap)

    assert await asyncio.to_thread(groups.present, [f"whaticket.{uuid4().hex[:8]}"]) == set()
