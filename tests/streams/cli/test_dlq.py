"""``whaticket dlq`` as an operator uses it, on real parts and with dispatch as it is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from schemas.codec import Codec
from schemas.events import (
    ConversationChanged,
    Event,
    HandoffRequested,
    MessageKind,
    MessageReceived,
    Person,
    SettingsChanged,
)
from schemas.ids import trace
from schemas.topics import (
    CONVERSATION_CHANGED,
    HANDOFF_REQUESTED,
    MESSAGE_RECEIVED,
    SETTINGS_CHANGED,
)
from streams.clock import WallClock
from streams.kafka.publish import record_of
from streams.kafka.reading import Reading
from streams.kafka.registry import open_codec
from streams.settings import Settings
from tests.streams.cli.conftest import CommandLine
from tests.streams.loop.harness import publishing, until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
TENANT = f"t-{uuid4().hex[:8]}"
SECRET = "o meu CPF é segredo"


def envelope(topic: str, name: str, conversation: str) -> dict[str, Any]:
    return {
        "event": topic,
        "event_id": str(uuid4()),
        "trace_id": trace("test", name),
        "tenant_id": TENANT,
        "conversation_id": conversation,
        "customer_id": "cust_1" if conversation else "",
        "idempotency_key": name,
        "occurred_at": WallClock().now_ms(),
    }


def message(conversation: str, wamid: str) -> MessageReceived:
    return MessageReceived(
        **envelope(MESSAGE_RECEIVED.name, wamid, conversation),
        phone_number_id="1",
        wamid=wamid,
        kind=MessageKind.TEXT,
        text=SECRET,
        sender=Person(wa_id="5511900000000"),
        sent_at=WallClock().now_ms(),
    )


def shop() -> SettingsChanged:
    return SettingsChanged(
        **envelope(SETTINGS_CHANGED.name, TENANT, ""), version=1, company=1, name="Loja"
    )


class World:
    """What a test does and sees."""

    def __init__(self, settings: Settings, codec: Codec) -> None:
        self.settings = settings
        self.codec = codec
        self.reading = Reading(settings.kafka_bootstrap, codec)

    async def publish(self, *events: Event) -> None:
        async with publishing(self.settings.kafka_bootstrap) as publisher:
            for event in events:
                await (await publisher.post(record_of(event, self.codec)))

    async def on(self, topic: str, conversation: str) -> list[Event]:
        return [each.event for each in await self.reading.read((topic,), key=conversation)]

    async def outcomes(self, conversation: str) -> list[tuple[str, str]]:
        return [
            (outcome.wamid, str(outcome.kind))
            for event in await self.on(CONVERSATION_CHANGED.name, conversation)
            if isinstance(event, ConversationChanged)
            for outcome in event.outcomes
        ]

    async def ended(self, conversation: str, count: int) -> list[tuple[str, str]]:
        async def enough() -> list[tuple[str, str]]:
            found = await self.outcomes(conversation)
            return found if len(found) >= count else []

        found: list[tuple[str, str]] = await until(enough, f"{count} outcomes")
        return found


@pytest.fixture
async def world(provisioned: Settings) -> World:
    return World(provisioned, await open_codec(provisioned))


@asynccontextmanager
async def worker(whaticket: CommandLine, log: Path, group: str, *bugs: str) -> AsyncIterator[None]:
    """A worker whose dispatch cannot decide some messages, by their ids."""
    more = {"EMBEDDER": "openai", "WORKER_PORT": "0", "SESSION_TIMEOUT_S": "6"}
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ROOT / "tests/streams/cli/buggy.py"), group, *bugs),
            stdout=out,
            stderr=out,
            cwd=ROOT,
            env={**whaticket.environment, "PYTHONPATH": str(ROOT), **more},
        )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
    judge(process.returncode, log)


def judge(returncode: int | None, log: Path) -> None:
    assert returncode == 0, log.read_text()[-3000:]
    assert SECRET not in log.read_text()


@dataclass
class Seen:
    """What an operator saw of a parked conversation."""

    listed: tuple[int, str]
    failed: tuple[int, str]
    shown: str
    told: str
    saved: Path
    planned: str

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.listed[1].splitlines()]


async def while_broken(whaticket: CommandLine, world: World, parked: str, value: Path) -> Seen:
    """Look at a conversation of three messages, the first of which cannot be decided."""
    only = ("--conversation", parked)
    await world.ended(parked, 3)
    listed = await whaticket.run("dlq", "list", *only)
    letter = listed[1].splitlines()[0].split("\t")[-1]
    planned = await whaticket.run("dlq", "redrive", *only)
    failed = await whaticket.run("dlq", "redrive", *only, "--execute", "--wait", "60")
    shown = await whaticket.run("dlq", "show", letter)
    told = await whaticket.run("dlq", "show", letter, "--show-text", "--save", str(value))
    return Seen(listed, failed, shown[1], told[1], value, planned[1])


async def test_an_operator_sees_what_is_parked_and_brings_it_back(
    whaticket: CommandLine, world: World, tmp_path: Path
) -> None:
    await whaticket.run("migrate")
    parked, other = f"conv_{uuid4().hex}", f"conv_{uuid4().hex}"
    wamids = [f"w{number}-{parked[-6:]}" for number in range(3)]
    log, group = tmp_path / "log", f"dlq.{parked[-6:]}"
    await world.publish(shop(), *(message(parked, wamid) for wamid in wamids))
    await world.publish(message(other, f"x-{other[-6:]}"))

    async with worker(whaticket, log, group, wamids[0]):
        seen = await while_broken(whaticket, world, parked, tmp_path / "value")
        await until(lambda: world.on(CONVERSATION_CHANGED.name, other), "the other conversation")
    async with worker(whaticket, log, group):
        redriven = await whaticket.run(
            *("dlq", "redrive", "--conversation", parked, "--execute", "--wait", "60")
        )
        outcomes = await world.ended(parked, 6)
    left = await whaticket.run("dlq", "list", "--conversation", parked)
    done = await whaticket.run("dlq", "list", "--conversation", parked, "--all")
    _, story = await whaticket.run("trace", "--conversation", parked)
    told = (seen.listed[1], seen.shown, seen.planned, seen.failed[1], redriven[1], story)
    sys.stdout.write("\n".join(told))

    check_what_was_seen(seen, wamids[0])
    check_what_was_saved(seen, world.codec)
    assert redriven[0] == 0, redriven[1]
    assert outcomes == [*((w, "parked") for w in wamids), *((w, "handed") for w in wamids)]
    calls = await world.on(HANDOFF_REQUESTED.name, parked)
    assert [e.to_agent for e in calls if isinstance(e, HandoffRequested)] == ["human"]
    assert left == (0, "")
    assert [line.split("\t")[3] for line in done[1].splitlines()] == ["done"] * 3
    assert "set aside by dispatch as number 2" in story
    assert "came back as number 2" in story


def check_what_was_saved(seen: Seen, codec: Codec) -> None:
    assert isinstance(codec.decode(seen.saved.read_bytes()), MessageReceived)


def check_what_was_seen(seen: Seen, wamid: str) -> None:
    assert [(row[0], *row[2:6]) for row in seen.rows] == [
        ("dispatch", "1", "waiting", "bug", "5"),
        ("dispatch", "2", "waiting", "behind_parked", "0"),
        ("dispatch", "3", "waiting", "behind_parked", "0"),
    ]
    assert SECRET not in seen.shown
    assert "ZeroDivisionError at buggy.py" in seen.shown
    assert trace("test", wamid) in seen.shown
    assert SECRET in seen.told
    assert seen.planned.endswith("Nothing was written. Run with --execute.\n")
    assert seen.failed[0] == 1
    assert "number 1 failed again (bug); numbers 1 to 3 wait" in seen.failed[1]


async def test_an_operator_drops_what_can_never_be_decided(
    whaticket: CommandLine, world: World, tmp_path: Path
) -> None:
    await whaticket.run("migrate")
    parked = f"conv_{uuid4().hex}"
    wamids = [f"w{number}-{parked[-6:]}" for number in range(2)]
    await world.publish(shop(), *(message(parked, wamid) for wamid in wamids))

    async with worker(whaticket, tmp_path / "log", f"dlq.{parked[-6:]}", wamids[0]):
        await world.ended(parked, 2)
        planned = await whaticket.run("dlq", "drop", "--conversation", parked)
        dropped = await whaticket.run(
            *("dlq", "drop", "--conversation", parked, "--redrive", "--execute", "--wait", "60")
        )
        outcomes = await world.ended(parked, 4)
        nothing = await whaticket.run("dlq", "drop", "--conversation", parked, "--execute")
        no_more = await whaticket.run("dlq", "redrive", "--conversation", parked, "--execute")
    sys.stdout.write(planned[1] + dropped[1])

    assert "Nothing was written" in planned[1]
    assert dropped[0] == 0, dropped[1]
    assert outcomes[2:] == [(wamids[0], "ignored"), (wamids[1], "handed")]
    assert nothing == (2, f"whaticket: dispatch has not parked {parked}\n")
    shows = "`whaticket dlq list` shows what there is"
    assert no_more == (0, f"nothing can be written back: {shows}\n")
