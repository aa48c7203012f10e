from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from schemas.errors import Rejected
from schemas.events import BubbleState, MessageKind, OutboundKind, Outcome, OutcomeKind, Phase
from sinks.ports import Recorded
from sinks.transcripts import Transcripts
from tests.sinks.stories import Story

pytestmark = pytest.mark.integration

TABLES = (
    "contacts",
    "conversations",
    "messages",
    "message_statuses",
    "replies",
    "turns",
    "outcomes",
)
LAST = "SELECT last_message FROM tickets WHERE tenant_id = 'unsaid'"
SURROGATES = ("id", "ticket_id")
"""Numbers given in order of arrival: they differ between two writings."""


async def rows(pool: asyncpg.Pool, tenant_id: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of a tenant, without the tenant's name."""
    found = {}
    for table in TABLES:
        selected = await pool.fetch(f"SELECT * FROM {table} WHERE tenant_id = $1", tenant_id)  # noqa: S608 - a list of ours
        found[table] = sorted(
            (
                {
                    name: str(value).replace(tenant_id, "T")
                    for name, value in row.items()
                    if not (name in SURROGATES and isinstance(value, int))
                    and name not in {"event_id", "trace_id", "turn_id"}
                }
                for row in selected
            ),
            key=str,
        )
    return found


def shuffled(story: Sequence[Recorded], rng: random.Random) -> list[Recorded]:
    """Interleave the topics anew; each keeps its own order, and some of it comes twice."""
    topics: dict[str, list[Recorded]] = {}
    for recorded in story:
        topics.setdefault(recorded.position.topic, []).append(recorded)
    for name, log in topics.items():
        again = rng.randrange(len(log))
        topics[name] = log[: again + 1] + log[rng.randrange(again + 1) :]
    mixed = []
    while queues := [log for log in topics.values() if log]:
        mixed.append(rng.choice(queues).pop(0))
    return mixed


async def test_the_order_between_topics_and_repetition_change_nothing(pool: asyncpg.Pool) -> None:
    sink = Transcripts(pool)
    await sink.write(Story(tenant_id="once").whole())
    expected = await rows(pool, "once")
    assert [len(expected[table]) for table in TABLES] == [1, 1, 6, 5, 1, 1, 3]

    for seed in range(25):
        rng = random.Random(seed)  # noqa: S311 - a seed that a failure names
        tenant_id = f"again{seed}"
        log = shuffled(Story(tenant_id=tenant_id).whole(), rng)
        while log:
            size = rng.randint(1, 8)
            await sink.write(log[:size])
            if rng.random() < 0.3:
                await sink.write(log[:size])
            log = log[size:]
        assert await rows(pool, tenant_id) == expected, f"seed {seed}"


@pytest.mark.parametrize("late", [False, True])
async def test_a_message_that_was_parked_and_came_back_keeps_its_real_outcome(
    pool: asyncpg.Pool, late: bool
) -> None:
    story = Story(tenant_id=f"parked{late}")
    steps = [
        story.step(Phase.WITH_HUMAN, at, outcomes=(Outcome(wamid="m1", kind=kind, reason="r"),))
        for at, kind in ((5, OutcomeKind.PARKED), (9000, OutcomeKind.HANDED))
    ]

    for recorded in reversed(steps) if late else steps:
        await Transcripts(pool).write([recorded])

    kinds = await pool.fetch("SELECT outcome FROM outcomes WHERE tenant_id = $1", story.tenant_id)
    assert [row["outcome"] for row in kinds] == ["handed"]


async def test_a_story_ends_as_a_closed_ticket_with_its_newest_message(pool: asyncpg.Pool) -> None:
    await Transcripts(pool).write(Story(tenant_id="closed").whole())

    ticket = await pool.fetchrow("SELECT * FROM tickets WHERE tenant_id = 'closed'")
    assert ticket is not None
    assert {
        name: ticket[name] for name in ("status", "unread", "last_message", "last_from_me")
    } == {
        "status": "closed",
        "unread": 0,
        "last_message": "Oi, aqui é o Zé",
        "last_from_me": True,
    }


async def test_what_the_gate_has_dropped_is_not_the_last_that_was_said(pool: asyncpg.Pool) -> None:
    story, sink = Story(tenant_id="unsaid"), Transcripts(pool)
    await sink.write([story.said("m1", "oi", 0)])
    await sink.write([story.bubble("b1", BubbleState.PLANNED, 10, text="Temos!", attempt=0)])
    shown = [await pool.fetchval(LAST)]
    await sink.write([story.bubble("b1", BubbleState.DROPPED, 20, requested=10, attempt=0)])
    shown.append(await pool.fetchval(LAST))

    assert shown == ["Temos!", "oi"]


async def test_a_ticket_shows_its_newest_message_as_it_was_edited(pool: asyncpg.Pool) -> None:
    story, sink = Story(tenant_id="edited"), Transcripts(pool)
    shown = "SELECT last_message FROM tickets WHERE tenant_id = 'edited'"
    early = story.said("m2", "quero 39", 10, kind=MessageKind.EDIT, target_wamid="m1")

    await sink.write([early])
    await sink.write([story.said("m1", "quero 38", 0)])
    once = await pool.fetchval(shown)
    await sink.write([story.said("m3", "quero 40", 20, kind=MessageKind.EDIT, target_wamid="m1")])
    await sink.write([early])
    twice = await pool.fetchval(shown)
    await sink.write([story.said("m4", "tem?", 30)])

    assert (once, twice, await pool.fetchval(shown)) == ("quero 39", "quero 40", "tem?")


@pytest.mark.parametrize(
    ("phase", "agent_user", "status", "chatbot"),
    [
        (Phase.IDLE, None, "pending", True),
        (Phase.GATHERING, None, "pending", True),
        (Phase.THINKING, None, "pending", True),
        (Phase.WITH_HUMAN, None, "pending", False),  # nobody accepted it yet
        (Phase.WITH_HUMAN, "7", "open", False),
        (Phase.PAUSED, None, "pending", False),
        (Phase.PARKED, None, "pending", False),
        (Phase.CLOSED, "7", "closed", False),
    ],
)
async def test_a_phase_is_shown_as_a_ticket_status(
    pool: asyncpg.Pool, phase: Phase, agent_user: str | None, status: str, chatbot: bool
) -> None:
    story = Story(tenant_id=f"phase-{phase}-{agent_user}")
    await Transcripts(pool).write([story.step(phase, 0, agent_user=agent_user)])

    ticket = await pool.fetchrow(
        "SELECT status, chatbot FROM tickets WHERE tenant_id = $1", story.tenant_id
    )
    assert ticket is not None
    assert (ticket["status"], ticket["chatbot"]) == (status, chatbot)


async def test_a_ticket_is_a_persons_when_the_gate_has_confirmed_it(pool: asyncpg.Pool) -> None:
    story, sink = Story(tenant_id="confirmed"), Transcripts(pool)
    seen = []
    for at, pending in enumerate((True, False)):
        step = story.step(Phase.WITH_HUMAN, at, agent_user="7", takeover_pending=pending)
        await sink.write([step])
        seen.append(await pool.fetchval("SELECT status FROM tickets WHERE tenant_id = 'confirmed'"))

    assert seen == ["pending", "open"]


async def test_a_later_report_never_makes_a_read_bubble_unread(pool: asyncpg.Pool) -> None:
    story = Story(tenant_id="acks")
    sink = Transcripts(pool)
    await sink.write([story.bubble("b1", BubbleState.READ, 30)])
    await sink.write([story.bubble("b1", BubbleState.SENT, 10)])
    await sink.write([story.bubble("b1", BubbleState.FAILED, 40, error_code=131026)])

    assert await pool.fetchval("SELECT state FROM messages WHERE tenant_id = 'acks'") == "read"


async def test_an_older_step_never_undoes_a_newer_one(pool: asyncpg.Pool) -> None:
    story = Story(tenant_id="late")
    older, newer = story.step(Phase.THINKING, 0), story.step(Phase.CLOSED, 1)
    sink = Transcripts(pool)
    await sink.write([newer, older])
    await sink.write([older])

    assert await pool.fetchval("SELECT phase FROM conversations WHERE tenant_id = 'late'") == (
        "closed"
    )


async def test_a_state_that_began_again_is_taken_after_two_hours(pool: asyncpg.Pool) -> None:
    old, new = Story(tenant_id="reset", seq=40), Story(tenant_id="reset")
    sink = Transcripts(pool)
    await sink.write([old.step(Phase.WITH_HUMAN, 0)])

    await sink.write([new.step(Phase.CLOSED, 7_000_000)])
    kept = await pool.fetchval("SELECT phase FROM conversations WHERE tenant_id = 'reset'")
    await sink.write([new.step(Phase.CLOSED, 7_300_000)])
    taken = await pool.fetchval("SELECT phase FROM conversations WHERE tenant_id = 'reset'")

    assert (kept, taken) == ("with_human", "closed")


async def test_a_call_while_the_state_cannot_be_read_is_shown_and_undone_by_the_next_step(
    pool: asyncpg.Pool,
) -> None:
    story, outside = Story(tenant_id="blank", seq=40), Story(tenant_id="blank", seq=-1)
    sink = Transcripts(pool)
    called = outside.step(Phase.WITH_HUMAN, 1000, owner="human")

    async def stands() -> tuple[str, int]:
        row = await pool.fetchrow("SELECT phase, seq FROM conversations WHERE tenant_id = 'blank'")
        assert row is not None
        return row["phase"], row["seq"]

    await sink.write([story.step(Phase.IDLE, 0)])
    await sink.write([called])
    while_parked = await stands()
    await sink.write([story.step(Phase.IDLE, 2000)])
    await sink.write([called])

    assert while_parked == ("with_human", 41)
    assert await stands() == ("idle", 42)


async def test_a_marker_is_no_message(pool: asyncpg.Pool) -> None:
    story = Story(tenant_id="marker")
    await Transcripts(pool).write(
        [story.bubble("k1", BubbleState.APPLIED, 0, kind=OutboundKind.MARKER)]
    )

    assert (await rows(pool, "marker"))["messages"] == []


async def test_zero_bytes_in_a_text_are_replaced(pool: asyncpg.Pool) -> None:
    await Transcripts(pool).write([Story(tenant_id="zero").said("m1", "a\x00b", 0)])

    assert await pool.fetchval("SELECT body FROM messages WHERE tenant_id = 'zero'") == "a\ufffdb"


async def test_a_row_that_postgres_refuses_rejects_the_whole_batch(pool: asyncpg.Pool) -> None:
    story = Story(tenant_id="huge")
    batch = [story.said("m1", "oi", 0), story.step(Phase.IDLE, 0, unread=2**40)]

    with pytest.raises(Rejected) as caught:
        await Transcripts(pool).write(batch)

    assert caught.value.reason == "bad_row"
    assert (await rows(pool, "huge"))["messages"] == []


async def test_repetition_uses_up_no_ticket_numbers(pool: asyncpg.Pool) -> None:
    story = Story(tenant_id="numbers")
    sink = Transcripts(pool)
    batch = [story.said("m1", "oi", 0)]
    for _ in range(20):
        await sink.write(batch)
    await sink.write([Story(tenant_id="numbers", name="joão").said("m2", "oi", 1)])

    first, second = await pool.fetch(
        "SELECT id FROM tickets WHERE tenant_id = 'numbers' ORDER BY id"
    )
    assert second["id"] - first["id"] == 1


async def test_two_tenants_keep_the_same_wamid_apart(pool: asyncpg.Pool) -> None:
    sink = Transcripts(pool)
    await sink.write(
        [
            Story(tenant_id="left").said("m1", "esquerda", 0),
            Story(tenant_id="right").said("m1", "direita", 0),
        ]
    )

    assert await pool.fetchval("SELECT body FROM messages WHERE tenant_id = 'left'") == "esquerda"
    assert await pool.fetchval("SELECT body FROM messages WHERE tenant_id = 'right'") == "direita"
