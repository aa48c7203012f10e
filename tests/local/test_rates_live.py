from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from schemas.events import BubbleState, OutboundKind, OutboundRequested, OutboundUpdated
from schemas.topics import OUTBOUND_REQUESTED, OUTBOUND_UPDATED
from sinks.database import open_pool
from sinks.tenants import Tenants
from sinks.vault import Vault
from streams.kafka.reading import Reading
from streams.local.bench.rates import Asked, Bench, opened
from streams.local.demo.seed import publish
from streams.local.demo.shop import NUMBER
from streams.settings import load

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

RATE_CODES = {"131056", "130429"}
PATIENCE_S = 90.0


async def rotate_token(home: Path) -> None:
    current = load(home)
    pool = await open_pool(current.postgres_dsn.get_secret_value(), name="test")
    try:
        tenants = Tenants(pool, Vault(current.secrets_key.get_secret_value()))
        await tenants.rotate_channel(NUMBER, token="another-token")
        await publish(current)
    finally:
        await pool.close()


async def control(bench: Bench, path: str, **asked: Any) -> None:
    async with bench.session.post(f"{bench.simulator}/_simulator/{path}", json=asked) as answer:
        assert answer.status == 200, await answer.text()


async def accepted(bench: Bench, count: int) -> list[dict[str, Any]]:
    """Wait until so many messages were accepted; return all of them, in order."""
    url = f"{bench.simulator}/_simulator/messages"
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with bench.session.get(url) as answer:
                messages: list[dict[str, Any]] = (await answer.json())["messages"]
            if len(messages) >= count:
                return messages
            await asyncio.sleep(0.5)


async def bubbles(bench: Bench) -> tuple[set[str], set[str]]:
    """Return the ids of all bubbles that were asked for, and of those whose end is not known."""
    reading = Reading(bench.stack.kafka_bootstrap, bench.codec)
    asked: set[str] = set()
    unknown: set[str] = set()
    for record in await reading.read((OUTBOUND_REQUESTED.name, OUTBOUND_UPDATED.name)):
        event = record.event
        if isinstance(event, OutboundRequested) and event.kind is OutboundKind.MESSAGE:
            asked.add(event.bubble_id)
        if isinstance(event, OutboundUpdated) and event.state is BubbleState.UNKNOWN:
            unknown.add(event.bubble_id)
    return asked, unknown


async def refusals(bench: Bench) -> dict[str, int]:
    """Wait until something was refused; return what, by code."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            refused: dict[str, int] = (await bench.control())["refusals"]
            if refused:
                return refused
            await asyncio.sleep(0.5)


async def test_whatsapp_refuses_nothing_for_its_rates_and_a_new_token_lets_the_number_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three workers, one of them killed, while customers write; then the token is revoked."""
    monkeypatch.setenv("WHATICKET_HOME", str(tmp_path))
    asked = Asked(folder=tmp_path, seconds=15.0, inbound=4.0)
    async with opened(asked, lambda *_: None) as bench:
        found = await bench.measure()

        await control(bench, "tokens", state="revoked")
        people = [bench.people[place % 20] for place in range(60)]
        await bench.ask_for(people, first=10_000)
        refused = await refusals(bench)
        held = len(await accepted(bench, found.accepted))
        await rotate_token(tmp_path)
        messages = await accepted(bench, found.accepted + 60)
        at_the_end = await bench.control()
        asked_for, unknown = await bubbles(bench)

    assert (found.duplicates, found.refusals) == (0, {})
    assert (found.heard, found.astray) == (60, 0)
    # What the killed worker had claimed and not written is not sent again: a person decides.
    assert asked_for - {each["bubble_id"] for each in messages} <= unknown
    assert len(asked_for) == found.asked + 60
    assert held == found.accepted
    assert set(refused) == {"190"}
    assert RATE_CODES.isdisjoint(at_the_end["refusals"])
    assert at_the_end["figures"]["duplicates"] == 0
    for (
        _,
        phone,
    ) in people:  # each customer's bubbles came in the order in which they were asked for
        came = [each["text"] for each in messages[found.accepted :] if each["to"] == phone]
        assert came == sorted(came, key=lambda text: int(text.rpartition(" ")[2]))
        assert len(came) == 3
