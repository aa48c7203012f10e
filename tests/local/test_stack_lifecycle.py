from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from typer.testing import CliRunner

from schemas.errors import PipelineError
from streams.cli import build
from streams.local.stack import Stack, StackOptions, running
from streams.local.stack.hold import Ledger
from streams.local.stack.process import descendants
from streams.local.stack.stack import LEDGER

pytestmark = pytest.mark.integration

AVRO = {"schema": '{"type": "record", "name": "Kept", "fields": []}'}


def options(home: Path) -> StackOptions:
    return StackOptions(home=home, own=False, warm=False)


async def leave_traces(stack: Stack) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("kept", 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all")
    await producer.start()
    await producer.send_and_wait("kept", b"record")
    await producer.stop()
    connection = await asyncpg.connect(stack.postgres_dsn)
    await connection.execute("CREATE TABLE kept AS SELECT 'row' AS value")
    await connection.close()
    async with httpx.AsyncClient() as client:
        url = f"{stack.schema_registry_url}/subjects/kept-value/versions"
        (await client.post(url, json=AVRO)).raise_for_status()


async def find_traces(stack: Stack) -> tuple[bytes | None, str, list[int]]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=stack.kafka_bootstrap, auto_offset_reset="earliest"
    )
    await consumer.start()
    consumer.assign([TopicPartition("kept", 0)])
    record = await asyncio.wait_for(consumer.getone(), 30)
    await consumer.stop()
    connection = await asyncpg.connect(stack.postgres_dsn)
    row = await connection.fetchval("SELECT value FROM kept")
    await connection.close()
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{stack.schema_registry_url}/subjects/kept-value/versions")
    return record.value, row, answer.json()


async def test_data_survives_and_no_process_does(tmp_path: Path) -> None:
    async with running(options(tmp_path)) as stack:
        first = stack.env
        await leave_traces(stack)
        started = [entry.identity for entry in Ledger(tmp_path / LEDGER).read()]
        started += [child for identity in started for child in descendants(identity.pid)]
    assert not [identity for identity in started if identity.alive()]
    async with running(options(tmp_path)) as stack:
        assert stack.env == first
        assert await find_traces(stack) == (b"record", "row", [1])


@pytest.fixture
def at_home(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[int, str]]:
    """Run a command of `whaticket` in the folder of the running stack."""
    monkeypatch.setenv("WHATICKET_HOME", str(stack.home))

    def run(command: str) -> tuple[int, str]:
        result = CliRunner().invoke(build(), [command])
        if isinstance(result.exception, PipelineError):
            return 1, str(result.exception)
        return result.exit_code, result.output

    return run


def test_a_second_up_on_the_same_data_is_refused(
    at_home: Callable[[str], tuple[int, str]],
) -> None:
    status, text = at_home("up")
    assert status == 1
    assert f"already up (process {os.getpid()})" in text


def test_status_shows_every_part_and_its_health(
    stack: Stack, at_home: Callable[[str], tuple[int, str]]
) -> None:
    status, text = at_home("status")
    assert status == 0, text
    for name in ("kafka", "registry", "postgres", "redis"):
        assert name in text
        assert str(stack.pid(name)) in text
    assert text.count("ready") == 4


async def test_a_killed_broker_is_reported_and_the_others_are_stopped(tmp_path: Path) -> None:
    async with running(options(tmp_path)) as stack:
        os.kill(stack.pid("kafka"), signal.SIGKILL)
        report = str(await asyncio.wait_for(stack.crashed(), 30))
        started = [entry.identity for entry in Ledger(tmp_path / LEDGER).read()]
    assert report.startswith("kafka was killed by SIGKILL")
    assert "Kafka Server started" in report
    assert not [identity for identity in started if identity.alive()]


async def test_a_killed_database_starts_again_with_what_it_acknowledged(tmp_path: Path) -> None:
    async with running(options(tmp_path)) as stack:
        connection = await asyncpg.connect(stack.postgres_dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 'row' AS value")
        await stack.kill("postgres")
        await stack.start("postgres")
        again = await asyncpg.connect(stack.postgres_dsn)
        assert await again.fetchval("SELECT value FROM kept") == "row"
        await again.close()
        connection.terminate()
