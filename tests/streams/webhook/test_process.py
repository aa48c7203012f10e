"""The webhook as a process, on the real Kafka, registry and Postgres."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from pathlib import Path

import httpx
import pytest

from schemas.events import MessageReceived
from schemas.topics import HUMAN_REPLIED, MESSAGE_RECEIVED, STATUS_RECEIVED
from streams.local.stack import Stack
from tests.streams.webhook.running import Running, events, reading
from tests.streams.webhook.world import SECRET, TOKEN, change, envelope, text

pytestmark = pytest.mark.integration

DOCS = Path(__file__).parents[3] / "docs" / "webhook-producers.md"
PLANTED = "planted-marker-4711"
CUSTOMER = "5511987650000"


async def test_a_webhook_is_on_kafka_when_it_is_answered(webhook: Running) -> None:
    status = {"id": "s1", "status": "sent", "recipient_id": CUSTOMER, "timestamp": "1"}
    echo = {"id": "e1", "to": CUSTOMER, "type": "text", "text": {"body": "x"}}
    body = envelope(
        change(number=webhook.number, messages=[text("w1", CUSTOMER, PLANTED)], statuses=[status]),
        change("smb_message_echoes", webhook.number, message_echoes=[echo]),
    )
    topics = (MESSAGE_RECEIVED.name, STATUS_RECEIVED.name, HUMAN_REPLIED.name)
    async with reading(webhook.settings, *topics) as consumer:
        answer = await webhook.post(body)

        found = await events(consumer, webhook.settings, 3)

    assert answer.status_code == 200
    assert {event.event for event in found} == set(topics)
    assert {event.tenant_id for event in found} == {webhook.tenant}
    assert len({event.conversation_id for event in found}) == 1


async def test_the_example_of_the_docs_works(webhook: Running) -> None:
    (script,) = [
        block for block in re.findall(r"```sh\n(.*?)```", DOCS.read_text(), re.DOTALL)
        if "curl" in block
    ]  # fmt: skip
    env = {
        "WEBHOOK_URL": webhook.url,
        "WEBHOOK_SECRET": webhook.producer_secret,
        "PHONE_NUMBER_ID": webhook.number,
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

    added = await run("add", "shop", "--tenant", webhook.tenant)
    again = await run("add", "shop", "--tenant", webhook.tenant)
    rotated = await run("rotate", "shop")
    unknown = await run("rotate", "nobody")
    bad_name = await run("add", "No Name", "--tenant", webhook.tenant)
    listed = await run("list")

    assert [code for code, _ in (added, rotated, listed)] == [0, 0, 0]
    assert [code for code, _ in (again, unknown, bad_name)] == [2, 2, 2]
    assert "whsec_" in added[1]
    assert f"shop\t{webhook.tenant}" in listed[1]
    assert "whsec_" not in listed[1]
    assert "Traceback" not in again[1] + unknown[1] + bad_name[1]


async def test_a_change_of_settings_waits_for_the_webhook(webhook: Running) -> None:
    listed = await webhook.whaticket("processes")
    code, said = await webhook.whaticket("tenant", "set", webhook.tenant, "name=Loja")

    assert "whaticket.webhook.0" in listed[1]
    assert (code, said.splitlines()[-1]) == (0, "in use by 1 of 1 live processes")


async def test_it_is_ready_and_counts_what_it_published(webhook: Running) -> None:
    await webhook.post(envelope(change(number=webhook.number, messages=[text("w2", CUSTOMER)])))

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
    body = envelope(change(number=webhook.number, messages=[text("w3", CUSTOMER)]))
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
        await client.get(webhook.path, params=check)
        await client.post(webhook.path, content=PLANTED)

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
