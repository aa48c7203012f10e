"""``whaticket forget``: a conversation whose state at rest is lost begins anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from schemas.topics import STATEFUL_STAGES, changelog
from sinks.claims import PostgresClaims
from sinks.resting import RestingStates
from streams.kafka.publish import Record
from streams.settings import Settings
from streams.state.absent import fingerprint_of
from streams.state.forgetting import Where, whereabouts
from streams.state.records import Entry
from tests.streams.cli.conftest import CommandLine
from tests.streams.loop.harness import publishing

pytestmark = pytest.mark.integration

VALUE = Entry(b"{}", {}, epoch=1).dumps()
WAITS = Entry(b"{}", {}, epoch=1, due_ms=9).dumps()
MARK = fingerprint_of(VALUE)
AWAY = Entry(b"", {}, epoch=1, away=MARK).dumps()

Known = dict[str, bytes | None]


async def put(settings: Settings, conversation: str, known: Known) -> None:
    """Write what stages know of a conversation, as they do."""
    async with publishing(settings.kafka_bootstrap) as publisher:
        await publisher.publish(
            Record(changelog(stage), conversation.encode(), value) for stage, value in known.items()
        )


@pytest.fixture
async def conversation(provisioned: Settings) -> AsyncIterator[str]:
    """A new conversation, of which nothing is left for the workers of other tests."""
    made = f"conv_{uuid4().hex}"
    yield made
    await put(provisioned, made, dict.fromkeys(STATEFUL_STAGES))


async def test_a_conversation_whose_row_is_gone_is_forgotten_by_every_stage(
    whaticket: CommandLine, provisioned: Settings, conversation: str, postgres_dsn: str
) -> None:
    await whaticket.run("migrate")
    await put(provisioned, conversation, {"dispatch": AWAY, "outbound": AWAY, "ai": VALUE})
    key, bootstrap = conversation.encode(), provisioned.kafka_bootstrap
    async with asyncpg.create_pool(postgres_dsn) as pool:
        shelf, claims = RestingStates(pool), PostgresClaims(pool)
        await shelf.keep("outbound", {key: (MARK, VALUE)})
        await claims.bar(conversation, 3)

        shown = await whaticket.run("forget", conversation)
        before = await whereabouts(bootstrap, shelf, key)
        done = await whaticket.run("forget", conversation, "--execute")
        after = await whereabouts(bootstrap, shelf, key)
        begins = await claims.claim_ai("b1", 1, conversation, 0)

    assert (shown[0], shown[1].splitlines()) == (
        0,
        [
            "dispatch has lost its state: it rests in Postgres, and the row is not there",
            "ai has its state in the changelog",
            "tools knows nothing of it",
            "outbound has its state in Postgres",
            "Nothing was written. Stop the workers, then run with --execute.",
        ],
    )
    assert before["dispatch"] is Where.LOST
    assert done[0] == 0
    assert set(after.values()) == {Where.NOWHERE}
    assert begins == "given"


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"dispatch": VALUE}, "no state of it is lost"),
        ({"dispatch": WAITS}, "no state of it is lost"),
        ({"dispatch": AWAY, "outbound": WAITS}, "something of it waits at outbound"),
    ],
)
async def test_what_is_not_lost_or_still_waits_is_not_forgotten(
    whaticket: CommandLine, provisioned: Settings, conversation: str, known: Known, why: str
) -> None:
    await whaticket.run("migrate")
    await put(provisioned, conversation, known)

    status, said = await whaticket.run("forget", conversation, "--execute")

    assert status == 2
    assert why in said


async def test_a_zombies_late_value_does_not_hide_that_a_state_is_lost(
    whaticket: CommandLine, provisioned: Settings, conversation: str
) -> None:
    await whaticket.run("migrate")
    await put(provisioned, conversation, {"dispatch": AWAY})
    await put(provisioned, conversation, {"dispatch": Entry(b"{}", {}, epoch=0).dumps()})

    _, said = await whaticket.run("forget", conversation)

    assert "dispatch has lost its state" in said
