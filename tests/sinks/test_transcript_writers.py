"""Two workers may write one conversation at once: one its messages, the other our bubbles."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from schemas.events import BubbleState, Phase
from sinks.ports import Recorded
from sinks.transcripts import SQL, Transcripts, gathered, merge
from tests.sinks.stories import Story

NAMES = {text: name for name, text in SQL.items()}


class Connection:
    """Notes what is asked of Postgres; nothing is there."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[dict[str, Any]]]] = []

    async def execute(self, statement: str, rows: list[dict[str, Any]], *_: Any) -> None:
        self.asked.append((NAMES[statement], rows))

    async def fetch(
        self, statement: str, rows: list[dict[str, Any]], *_: Any
    ) -> list[dict[str, Any]]:
        self.asked.append((NAMES[statement], rows))
        if not NAMES[statement].startswith("messages"):
            return []
        return [
            {name: row.get(name) for name in ("tenant_id", "conversation_id", "id")}
            | {"target_wamid": None, "kind": "text", "created": True}
            for row in rows
        ]


async def asked(batch: Sequence[Recorded]) -> dict[str, list[str]]:
    """Return the conversations that each statement is about, in the order of the statements."""
    connection = Connection()
    await merge(connection, gathered(batch))
    return {
        name: [row.get("conversation_id", "") for row in rows] for name, rows in connection.asked
    }


async def test_a_writer_takes_its_conversations_before_it_looks_for_their_newest_message() -> None:
    zoe, ana = Story(name="zoe"), Story(name="ana")
    order = await asked(
        [
            zoe.said("m1", "oi", 0),
            ana.bubble("b1", BubbleState.READ, 10, wamid="w1"),
            zoe.said("m2", "tem?", 20),
        ]
    )

    assert order["conversations_taken"] == [ana.conversation_id, zoe.conversation_id]
    names = list(order)
    assert names.index("conversations_taken") < names.index("newest")
    assert names.index("conversations_taken") > names.index("conversations_seen")


async def test_a_writer_takes_what_it_moves_together_with_what_it_was_told() -> None:
    """One after another two writers could wait for each other: each had what the other wants."""
    zoe, ana = Story(name="zoe"), Story(name="ana")
    order = await asked([zoe.said("m1", "oi", 0), ana.step(Phase.GATHERING, 5)])

    assert order["conversations_taken"] == [ana.conversation_id, zoe.conversation_id]


@pytest.mark.integration
async def test_the_newest_message_is_shown_whoever_of_two_writers_is_the_last(
    pool: asyncpg.Pool,
) -> None:
    story = Story(tenant_id="two")
    await Transcripts(pool).write([story.said("m1", "oi", 0)])
    seen = story.bubble("b1", BubbleState.READ, 100, wamid="w1", text="Temos!")
    async with pool.acquire() as first:
        async with first.transaction():
            await merge(first, gathered([story.said("m2", "tem tênis?", 200)]))
            second = asyncio.create_task(Transcripts(pool).write([seen]))
            await asyncio.sleep(0.5)
            assert not second.done()
        await second

    shown = await pool.fetchval(
        "SELECT last_message FROM conversations WHERE tenant_id = 'two'",
    )
    assert shown == "tem tênis?"
