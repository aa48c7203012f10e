"""The webhook as a process, on the real Kafka, registry and Postgres."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from schemas.events import Event, MessageReceived
from schemas.topics import HUMAN_REPLIED, MESSAGE_RECEIVED, STATUS_RECEIVED
from sinks.database import open_pool
from sinks.migrations import migrate
from sinks.producers import Producers
from sinks.tenants import Tenants
from sinks.vault import Vault
from streams.local.stack import Stack
from streams.publish import Publisher, record_of
from streams.registry import open_codec
from streams.settings import Settings
from tests.streams.webhook.world import SECRET, TOKEN, change, envelope, signature, text

pytestmark = pytest.mark.integration

DOCS = Path(__file__).parents[3] / "docs" / "webhook-producers.md"
APP = f"app-{uuid4().hex[:8]}"
TENANT = f"acme-{uuid4().hex[:8]}"
NUMBER = uuid4().hex[:15]
PLANTED = "planted-marker-4711"
CUSTOMER = "5511987650000"


@dataclass(frozen=True)
class Running:
    """A webhook process."""

    url: str
    process: subprocess.Popen[str]
    log: Path
    settings: Settings
    producer_secret: str
    env: dict[str, str]

    async def whaticket(self, *words: str) -> tuple[int | None, str]:
        """Run a command beside it; returns the exit status and what was said."""
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streams", *words),
            env=self.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await command.communicate()
        return command.returncode, output.decode()

    async def post(self, body: object) -> httpx.Response:
        raw = json.dumps(body).encode()
        headers = {"X-Hub-Signature-256": signature(raw)}
        async with httpx.AsyncClient(base_url=self.url, timeout=10) as client:
            return await client.post(f"/webhooks/whatsapp/{APP}", content=raw, headers=headers)


async def seed(settings: Settings, dsn: str) -> str:
    pool = await open_pool(dsn)
    publisher = Publisher(settings.kafka_bootstrap, client_id="test.webhook")
    await publisher.start()
    try:
        await migrate(pool)
        key = settings.secrets_key.get_secret_value()
        tenants = Tenants(pool, Vault(key))
        await tenants.add(TENANT, {})
        await tenants.add_app(APP, verify_token=TOKEN, secret=SECRET)
        changed = await tenants.add_channel(TENANT, NUMBER, app_id=APP, token="access")
        await (await publisher.post(record_of(changed, await open_codec(settings))))
        return await Producers(pool, key).add("crm", TENANT)
    finally:
        await publisher.stop()
        await pool.close()


@pytest.fixture(scope="module")
def webhook(
    provisioned: Settings, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with ThreadPoolExecutor(1) as threads:
        secret = threads.submit(lambda: asyncio.run(seed(provisioned, postgres_dsn))).result()
    log = tmp_path_factory.mktemp("webhook") / "log"
    known = {
        "KAFKA_BOOTSTRAP": provisioned.kafka_bootstrap,
        "SCHEMA_REGISTRY_URL": provisioned.schema_registry_url,
        "POSTGRES_DSN": postgres_dsn,
        "HASH_KEY": provisioned.hash_key.get_secret_value(),
        "SECRETS_KEY": provisioned.secrets_key.get_secret_value(),
        "WEBHOOK_PORT": "0",
        "PATH": os.environ["PATH"],  # noqa: TID251 - a child process needs it
    }
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams", "webhook"],
            env=known,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, log.read_text()
    yield Running(found[0], process, log, provisioned, secret, known)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.wait(30)
    process.stdout.close()


@asynccontextmanager
async def reading(settings: Settings, *topics: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=settings.kafka_bootstrap)
    await consumer.start()
    try:
        await consumer.seek_to_end()
        for place in consumer.assignment():
            await consumer.position(place)
        yield consumer
    finally:
        await consumer.stop()


async def events(consumer: AIOKafkaConsumer, settings: Settings, count: int) -> list[Event]:
    codec = await open_codec(settings)
    found: list[Event] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    event = await codec.read(record.value)
                    assert record.key == event.conversation_id.encode()
                    found.append(event)
    return found


async def test_a_webhook_is_on_kafka_when_it_is_answered(webhook: Running) -> None:
    status = {"id": "s1", "status": "sent", "recipient_id": CUSTOMER, "timestamp": "1"}
    echo = {"id": "e1", "to": CUSTOMER, "type": "text", "text": {"body": "x"}}
    body = envelope(
        change(number=NUMBER, messages=[text("w1", CUSTOMER, PLANTED)], statuses=[status]),
        change("smb_message_echoes", NUMBER, message_echoes=[echo]),
    )
    topics = (MESSAGE_RECEIVED.name, STATUS_RECEIVED.name, HUMAN_REPLIED.name)
    async with reading(webhook.settings, *topics) as consumer:
        answer = await webhook.post(body)

        found = await events(consumer, webhook.settings, 3)

    assert answer.status_code == 200
    assert {event.event for event in found} == set(topics)
    assert {event.tenant_id for event in found} == {TENANT}
    assert len({event.conversation_id for event in found}) == 1


async def test_the_example_of_the_docs_works(webhook: Running) -> None:
    (script,) = [
        block for block in re.findall(r"```sh\n(.*?)```", DOCS.read_text(), re.DOTALL)
        if "curl" in block
    ]  # fmt: skip
    env = {
        "WEBHOOK_URL": webhook.url,
        "WEBHOOK_SECRET": webhook.producer_secret,
        "PHONE_NUMBER_ID": NUMBER,
        "PATH": os.environ["PATH"],  # noqa: TID251 - the script's programs are on it
    }
    async with reading(webhook.settings, MESSAGE_RECEIVED.name) as consumer:
        shell = await asyncio.create_subprocess_exec(
            "sh", "-euc", script, env=env, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await shell.communicate()

        (event,) = await events(consumer, webhook.settings, 1)

    assert shell.returncode == 0
    assert json.loads(output) == {"event_id": event.event_id}
    assert isinstance(event, MessageReceived)
    assert (event.wamid, event.text) == ("ext:crm:order-1001", "Where is my order?")


async def test_producers_are_kept_by_the_command_line(webhook: Running) -> None:
    async def run(*words: str) -> tuple[int | None, str]:
        return await webhook.whaticket("producer", *words)

    added = await run("add", "shop", "--tenant", TENANT)
    again = await run("add", "shop", "--tenant", TENANT)
    rotated = await run("rotate", "shop")
    unknown = await run("rotate", "nobody")
    bad_name = await run("add", "No Name", "--tenant", TENANT)
    listed = await run("list")

    assert [code for code, _ in (added, rotated, listed)] == [0, 0, 0]
    assert [code for code, _ in (again, unknown, bad_name)] == [2, 2, 2]
    assert "whsec_" in added[1]
    assert f"shop\t{TENANT}" in listed[1]
    assert "whsec_" not in listed[1]
    assert "Traceback" not in again[1] + unknown[1] + bad_name[1]


async def test_a_change_of_settings_waits_for_the_webhook(webhook: Running) -> None:
    listed = await webhook.whaticket("processes")
    code, said = await webhook.whaticket("tenant", "set", TENANT, "name=Loja")

    assert "whaticket.webhook.0" in listed[1]
    assert (code, said.splitlines()[-1]) == (0, "in use by 1 of 1 live processes")


async def test_it_is_ready_and_counts_what_it_published(webhook: Running) -> None:
    await webhook.post(envelope(change(number=NUMBER, messages=[text("w2", CUSTOMER)])))

    async with httpx.AsyncClient(base_url=webhook.url) as client:
        ready = await client.get("/health/ready")
        metrics = (await client.get("/metrics")).text

    assert ready.status_code == 200
    assert ready.json()["checks"] == {"kafka": True, "postgres": True, "settings": True}
    labels = 'event_type="inbox.message.received",stream="inbox.message.received"'
    assert f"events_published_total{{{labels}}}" in metrics


async def test_kafka_that_stops_is_503_and_it_recovers_by_itself(
    webhook: Running, stack: Stack
) -> None:
    body = envelope(change(number=NUMBER, messages=[text("w3", CUSTOMER)]))
    broker = next(name for name in stack.names if name.startswith("kafka"))
    stack.signal(broker, signal.SIGSTOP)
    try:
        stopped = await webhook.post(body)
        async with httpx.AsyncClient(base_url=webhook.url, timeout=10) as client:
            ready = await client.get("/health/ready")
            live = await client.get("/health/live")
    finally:
        stack.signal(broker, signal.SIGCONT)

    async with asyncio.timeout(60):
        while (again := await webhook.post(body)).status_code == 503:
            assert int(again.headers["Retry-After"]) > 0

    assert (stopped.status_code, ready.status_code, live.status_code) == (503, 503, 200)
    assert again.status_code == 200


async def test_an_orderly_stop_ends_with_0_and_the_log_holds_no_secret(webhook: Running) -> None:
    check = {"hub.mode": "subscribe", "hub.challenge": "1", "hub.verify_token": TOKEN}
    async with httpx.AsyncClient(base_url=webhook.url) as client:
        await client.get(f"/webhooks/whatsapp/{APP}", params=check)
        await client.post(f"/webhooks/whatsapp/{APP}", content=PLANTED)

    webhook.process.send_signal(signal.SIGTERM)
    code = await asyncio.to_thread(webhook.process.wait, 30)

    listed = await webhook.whaticket("processes")
    assert listed[0] == 0
    assert "whaticket.webhook.0" not in listed[1]
    written = webhook.log.read_text()
    assert code == 0
    assert "webhook.stopped" in written
    for secret in (PLANTED, CUSTOMER, TOKEN, SECRET, webhook.producer_secret, "hub."):
        assert secret not in written
