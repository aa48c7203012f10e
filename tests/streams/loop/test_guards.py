"""What is refused or noticed before a partition is served, and what a worker says of itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, re-exported untyped
    AdminClient,
    NewPartitions,
    NewTopic,
)
from faust.types import TP
from prometheus_client import REGISTRY

from schemas.errors import Misconfigured
from schemas.topics import MESSAGE_RECEIVED, STATEFUL_STAGES, TOOL_REQUESTED
from streams.clock import WallClock
from streams.consumer.colocate import check_partitions, split
from streams.engine import Engine
from streams.kafka import partitioner
from streams.kafka.layouts import inputs_of
from streams.kafka.naming import group_of
from streams.kafka.partitioner import home
from streams.kafka.publish import Publisher
from streams.local.stack import Stack
from streams.settings import Settings
from streams.state.controls import Owner
from streams.state.lineage import check_ends, check_ids
from streams.watch.health import Dependencies, Health, HealthServer
from tests.streams.loop.fakes import NAMES, FakeTable
from tests.streams.loop.harness import create, everything, publish, publishing, toys, until
from tests.streams.loop.toy import JsonCodec, Names, Toys, received, toy_settings


def test_a_partition_without_all_its_fellows_is_left_unread() -> None:
    families = [frozenset({"m", "t", "changelog"}), frozenset({"other", "others-log"})]
    whole = {TP(topic, 0) for topic in ("m", "t", "changelog", "other", "others-log")}
    torn = {TP("m", 1), TP("changelog", 1), TP("other", 1), TP("others-log", 1)}

    assert split(whole | torn, families) == {TP("m", 1), TP("changelog", 1)}


def test_a_table_ahead_of_its_log_refuses_the_start() -> None:
    tp = TP("inbox.message.received", 3)

    check_ends({tp: 41}, {tp: 42})
    with pytest.raises(Misconfigured, match="partition 3 ends at 42, but 42 was applied"):
        check_ends({tp: 42}, {tp: 42})


def test_a_topic_that_was_created_anew_refuses_the_start() -> None:
    table = FakeTable()
    table.owners = {0: Owner(epoch=1, topics={"m": "first"})}

    check_ids(table, {"m": "first"})
    with pytest.raises(Misconfigured, match="another log of m: was created anew"):
        check_ids(table, {"m": "second"})


def test_one_topic_is_read_by_one_stage() -> None:
    stages = Toys(NAMES).stages()
    publisher = Publisher("127.0.0.1:1", client_id="x")

    with pytest.raises(Misconfigured, match="is read by both"):
        Engine(
            toy_settings("127.0.0.1:1"),
            [*stages, stages[1]],
            JsonCodec(),
            publisher,
            clock=WallClock(),
        )


async def test_a_worker_as_of_an_older_release_does_not_read_the_topic_added_since() -> None:
    stages = Toys(NAMES).stages()
    added = stages[1].inputs[0].name
    settings = toy_settings("127.0.0.1:1").model_copy(update={"without_topic": added})
    publisher = Publisher("127.0.0.1:1", client_id="x")

    engine = Engine(settings, stages, JsonCodec(), publisher, clock=WallClock())

    read = {name for family in engine.app.families for name in family}
    assert read == {
        name
        for stage in stages
        for name in (*(topic.name for topic in stage.inputs), stage.changelog)
    } - {added}
    assert set(engine.app.intakes) == read - {stage.changelog for stage in stages}


@pytest.mark.parametrize("named", ["inbox.mesage.received", "*", "whaticket.dispatch.changelog"])
def test_a_topic_that_nobody_reads_cannot_be_left_out(named: str) -> None:
    settings = toy_settings("127.0.0.1:1").model_copy(update={"without_topic": named})

    with pytest.raises(Misconfigured, match="WITHOUT_TOPIC") as refused:
        engine_of(settings)

    assert named in str(refused.value)


def test_a_topic_of_another_stage_of_the_layout_may_be_left_out() -> None:
    settings = toy_settings("127.0.0.1:1").model_copy(
        update={"without_topic": MESSAGE_RECEIVED.name}
    )

    assert set(engine_of(settings).app.intakes) == set(engine_of().app.intakes)


@pytest.mark.parametrize("seconds", [6.0, 10.0, 1800.0])
async def test_any_session_that_may_be_set_is_one_that_a_worker_starts_with(
    seconds: float,
) -> None:
    engine = engine_of(toy_settings("127.0.0.1:1", session_timeout_s=seconds))
    consumer = engine.app.safe_consumer

    made = consumer._new_consumer_thread()._create_consumer(asyncio.get_running_loop())

    assert made._session_timeout_ms == seconds * 1000
    await made.stop()


async def test_a_worker_that_has_nothing_to_fetch_for_a_year_keeps_its_place() -> None:
    """Recovering, with all of its partitions held by a dependency, or with none at all."""
    consumer = engine_of().app.safe_consumer

    made = consumer._new_consumer_thread()._create_consumer(asyncio.get_running_loop())

    year_ms = 365 * 86_400_000
    assert made._max_poll_interval_ms > year_ms
    await made.stop()


def test_a_rebalance_waits_for_the_whole_drain() -> None:
    app = engine_of(toy_settings("127.0.0.1:1", drain_s=600)).app

    assert app.conf.broker_rebalance_timeout > app.drain_s


def engine_of(settings: Settings | None = None) -> Engine:
    publisher = Publisher("127.0.0.1:1", client_id="x")
    return Engine(
        settings or toy_settings("127.0.0.1:1"),
        Toys(NAMES).stages(),
        JsonCodec(),
        publisher,
        clock=WallClock(),
    )


def test_a_worker_of_one_stage_has_a_group_of_its_own() -> None:
    assert group_of(["ai"]) == "whaticket.ai"
    assert group_of(STATEFUL_STAGES) == "whaticket.pipeline"


def test_every_conversation_topic_of_a_stage_is_moved_with_it() -> None:
    assert MESSAGE_RECEIVED.name in inputs_of("dispatch")
    assert inputs_of("tools") == [TOOL_REQUESTED.name]
    assert home(b"foobar", 24) == (-790332482 & 0x7FFFFFFF) % 24


async def ask(port: int, request: bytes) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


async def test_health_says_what_a_worker_waits_for() -> None:
    health, dependencies = Health(), Dependencies()
    health.checks["dependencies"] = dependencies.why
    server = HealthServer(health, "127.0.0.1", 0)
    await server.start()
    try:
        assert (await ask(server.port, b"GET /health/ready HTTP/1.1\r\n\r\n"))[0] == 200
        dependencies.down("postgres", "someone")
        status, body = await ask(server.port, b"GET /health/ready?x=1 HTTP/1.1\r\n\r\n")
        assert (status, json.loads(body)["reasons"]) == (
            503,
            {"dependencies": "waiting for postgres"},
        )
        assert (await ask(server.port, b"GET /health HTTP/1.1\r\n\r\n"))[0] == 200
        assert (await ask(server.port, b"GET /health/live HTTP/1.1\r\n\r\n"))[0] == 200
        dependencies.up("someone")
        assert (await ask(server.port, b"GET /health/ready HTTP/1.1\r\n\r\n"))[0] == 200
        assert (await ask(server.port, b"GET /nope HTTP/1.1\r\n\r\n"))[0] == 404
        assert (await ask(server.port, b"POST /metrics HTTP/1.1\r\n\r\n"))[0] == 405
        assert (await ask(server.port, b"\xff\x00\r\n\r\n"))[0] == 405
        assert (await ask(server.port, b"GET " + b"x" * 99_999 + b"\r\n\r\n"))[0] == 0
        status, body = await ask(server.port, b"GET /metrics HTTP/1.1\r\n\r\n")
        assert status == 200
        assert b"events_consumed_total" in body
    finally:
        await server.stop()


def test_what_waits_in_stages_and_sinks_is_counted_together() -> None:
    stages, sink = Dependencies(), Dependencies()

    def waiting() -> float | None:
        return REGISTRY.get_sample_value("dependency_waiting_events", {"service": "the count"})

    stages.down("the count", "one")
    stages.down("the count", "one")
    stages.down("the count", "two")
    sink.down("the count", "batch")
    assert waiting() == 3

    sink.up("batch")
    assert waiting() == 2

    stages.up("one")
    stages.up("two")
    stages.up("never waited")
    assert waiting() == 0


async def test_a_client_that_puts_keys_elsewhere_is_refused_before_a_broker_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partitioner, "DefaultPartitioner", lambda: lambda _, every, __: every[0])
    publisher = Publisher("127.0.0.1:1", client_id="x")
    settings, stages = toy_settings("127.0.0.1:1"), Toys(NAMES).stages()
    engine = Engine(settings, stages, JsonCodec(), publisher, clock=WallClock())

    with pytest.raises(Misconfigured, match="conversations would have two owners"):
        await engine.check()


@pytest.mark.integration
async def test_a_worker_whose_topics_differ_in_width_refuses_to_start(
    stack: Stack, tmp_path: Path
) -> None:
    bootstrap, names = stack.kafka_bootstrap, Names(uuid4().hex[:8])
    create(bootstrap, names)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    wider = [NewPartitions(names.answered.name, 8)]
    for future in admin.create_partitions(wider).values():
        future.result()

    async with toys(bootstrap, names, tmp_path) as start:
        worker = await start("one")

        assert await asyncio.wait_for(worker.process.wait(), 60) == 1

        (crashed,) = worker.said("worker.crashed")
        assert "topics of one process need equal partition counts" in crashed["error"]


@pytest.mark.integration
async def test_a_worker_that_is_set_for_another_number_of_partitions_refuses_to_start(
    stack: Stack, tmp_path: Path
) -> None:
    bootstrap, names = stack.kafka_bootstrap, Names(uuid4().hex[:8])
    create(bootstrap, names)

    async with toys(bootstrap, names, tmp_path) as start:
        worker = await start("one", settings={"topic_partitions": 2})

        assert await asyncio.wait_for(worker.process.wait(), 60) == 1

        (crashed,) = worker.said("worker.crashed")
        assert "had 2 partitions and now have 4" in crashed["error"]


@pytest.mark.integration
async def test_topics_of_different_width_are_refused(stack: Stack) -> None:
    names, odd = Names(uuid4().hex[:8]), f"toy.{uuid4().hex[:8]}.odd"
    create(stack.kafka_bootstrap, names)
    admin = AdminClient({"bootstrap.servers": stack.kafka_bootstrap})
    for future in admin.create_topics([NewTopic(odd, 3, 1)]).values():
        future.result()
    known = [topic.name for topic in names.all()]

    assert await check_partitions(stack.kafka_bootstrap, known) == 4
    with pytest.raises(Misconfigured, match="equal partition counts"):
        await check_partitions(stack.kafka_bootstrap, [*known, odd])
    with pytest.raises(Misconfigured, match="missing"):
        await check_partitions(stack.kafka_bootstrap, [*known, "toy.nobody.made.it"])


@pytest.mark.integration
async def test_a_recreated_topic_refuses_the_start_with_a_clear_last_line(
    stack: Stack, tmp_path: Path
) -> None:
    bootstrap, names = stack.kafka_bootstrap, Names(uuid4().hex[:8])
    create(bootstrap, names)
    admin = AdminClient({"bootstrap.servers": bootstrap})

    async def said() -> bool:
        return len(await everything(bootstrap, names.said.name)) == 5

    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        first = await start("first")
        await publish(publisher, *(received(names, 0, n) for n in range(5)))
        await until(said, "five answers")
        assert await first.stop() == 0
        admin.delete_topics([names.inbox.name])[names.inbox.name].result()
        await until(lambda: names.inbox.name not in admin.list_topics().topics, "no topic")
        new = NewTopic(names.inbox.name, 4, 1)
        admin.create_topics([new])[names.inbox.name].result()
        second = await start("second")

        assert await asyncio.wait_for(second.process.wait(), 60) == 1

        crashed = [line for line in second.lines() if line["event"] == "worker.crashed"]
        assert "was created anew" in crashed[-1]["error"]
