"""Stages as the composition root wires them: what is given up is told to who waits for it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from schemas.codec import Codec
from schemas.events import (
    BubbleState,
    ConversationChanged,
    Event,
    HandoffRequested,
    MessageKind,
    MessageReceived,
    OutboundKind,
    OutboundRequested,
    OutboundSettled,
    OutcomeKind,
    Person,
    ResponseGenerated,
    ResponseOutcome,
    SettingsChanged,
    ToolCallCompleted,
    ToolCallRequested,
)
from schemas.topics import (
    CONVERSATION_CHANGED,
    HANDOFF_REQUESTED,
    MESSAGE_RECEIVED,
    OUTBOUND_REQUESTED,
    OUTBOUND_SETTLED,
    RESPONSE_GENERATED,
    SETTINGS_CHANGED,
    TOOL_COMPLETED,
    TOOL_REQUESTED,
)
from sinks.database import open_pool
from sinks.migrations import migrate
from streams.clock import WallClock
from streams.kafka.publish import record_of
from streams.kafka.reading import Reading
from streams.kafka.registry import open_codec
from streams.settings import Settings, environment
from tests.streams.loop.harness import publishing, until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
Said = Callable[[str, str], Awaitable[list[Event]]]
TENANT = f"t-{uuid4().hex[:8]}"


def envelope(topic: str, name: str, conversation: str) -> dict[str, Any]:
    return {
        "event": topic,
        "event_id": str(uuid4()),
        "trace_id": uuid4().hex,
        "tenant_id": TENANT,
        "conversation_id": conversation,
        "customer_id": "cust_1",
        "idempotency_key": name,
        "occurred_at": WallClock().now_ms(),
    }


@pytest.fixture
async def codec(provisioned: Settings) -> Codec:
    return await open_codec(provisioned)


@pytest.fixture
async def said(
    provisioned: Settings, codec: Codec, tmp_path: Path, postgres_dsn: str
) -> AsyncIterator[Said]:
    """A worker of which only dispatch works; returns what a conversation has on a topic."""
    log, reading = tmp_path / "log", Reading(provisioned.kafka_bootstrap, codec)
    async with await open_pool(postgres_dsn) as pool:
        await migrate(pool)  # the gate looks for the claim of what it gives up
    more = {
        "EMBEDDER": "openai",
        "WORKER_PORT": "0",
        "SESSION_TIMEOUT_S": "6",
        "POSTGRES_DSN": postgres_dsn,
    }
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ROOT / "tests/streams/loop/broken.py"), TENANT),
            stdout=out,
            stderr=out,
            cwd=ROOT,
            env={**environment(), "PYTHONPATH": str(ROOT), **_given(provisioned), **more},
        )

    async def first(topic: str, conversation: str) -> list[Event]:
        """Wait until there is something."""

        async def found() -> list[Event]:
            assert process.returncode is None, log.read_text()[-3000:]
            return [each.event for each in await reading.read((topic,), key=conversation)]

        events: list[Event] = await until(found, f"something on {topic}")
        return events

    try:
        yield first
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
    assert process.returncode == 0, log.read_text()[-3000:]


def _given(settings: Settings) -> dict[str, str]:
    """Settings as a process is given them."""
    return {
        name.upper(): str(value.get_secret_value() if hasattr(value, "get_secret_value") else value)
        for name, value in settings.model_dump(mode="python").items()
    }


async def publish(settings: Settings, codec: Codec, *events: Event) -> None:
    async with publishing(settings.kafka_bootstrap) as publisher:
        for event in events:
            await (await publisher.post(record_of(event, codec)))


async def test_a_customer_whose_turn_is_given_up_is_handed_to_a_person_at_once(
    provisioned: Settings, codec: Codec, said: Said
) -> None:
    conversation = f"conv_{uuid4().hex}"
    await publish(
        provisioned,
        codec,
        SettingsChanged(
            **envelope(SETTINGS_CHANGED.name, TENANT, "") | {"customer_id": ""},
            version=1,
            company=1,
            name="Loja",
            burst_quiet_ms=1,
            burst_max_ms=1,
        ),
        MessageReceived(
            **envelope(MESSAGE_RECEIVED.name, "w1", conversation),
            phone_number_id="1",
            wamid="w1",
            kind=MessageKind.TEXT,
            text="oi",
            sender=Person(wa_id="5511900000000"),
            sent_at=WallClock().now_ms(),
        ),
    )

    letters = await said(HANDOFF_REQUESTED.dlq, conversation)
    (response,) = await said(RESPONSE_GENERATED.name, conversation)
    (settled,) = await said(OUTBOUND_SETTLED.name, conversation)
    # A receipt is given up as well; nobody waits for it.
    bubbles = [
        each
        for each in await said(OUTBOUND_REQUESTED.dlq, conversation)
        if isinstance(each, OutboundRequested) and each.kind is OutboundKind.MESSAGE
    ]
    changes = await said(CONVERSATION_CHANGED.name, conversation)

    assert isinstance(letters[0], HandoffRequested)
    assert isinstance(response, ResponseGenerated)
    assert letters[0].turn_id == response.turn_id
    assert (response.outcome, response.reason) == (ResponseOutcome.FAILED, "given_up:no_good")
    assert isinstance(settled, OutboundSettled)
    assert bubbles[0].bubble_id == settled.bubble_id
    assert (settled.state, settled.reason) == (BubbleState.UNKNOWN, "given_up:no_good")
    outcomes = [
        (outcome.wamid, outcome.kind, outcome.reason)
        for change in changes
        if isinstance(change, ConversationChanged)
        for outcome in change.outcomes
    ]
    assert outcomes == [("w1", OutcomeKind.HANDED, "failed:given_up:no_good")]


async def test_the_model_is_told_of_a_tool_call_that_is_given_up(
    provisioned: Settings, codec: Codec, said: Said
) -> None:
    conversation = f"conv_{uuid4().hex}"
    call = ToolCallRequested(
        **envelope(TOOL_REQUESTED.name, "call", conversation),
        turn_id="turn-1",
        turn_seq=1,
        epoch=0,
        call_id="call-1",
        model_call_id="c0",
        step=1,
        agent="support",
        tool="order_status",
        arguments="{}",
        deadline_at=WallClock().now_ms() + 90_000,
    )
    await publish(provisioned, codec, call)

    letters = await said(TOOL_REQUESTED.dlq, conversation)
    (completed,) = await said(TOOL_COMPLETED.name, conversation)

    assert letters == [call]
    assert isinstance(completed, ToolCallCompleted)
    assert (completed.call_id, completed.ok, completed.error) == ("call-1", False, "failed")
