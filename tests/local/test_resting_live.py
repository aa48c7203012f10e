"""The whole pipeline, whose conversations rest after two seconds, with workers that are killed."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from schemas.changing import replace
from schemas.events import ConversationChanged, OutcomeKind
from schemas.topics import CONVERSATION_CHANGED, MESSAGE_RECEIVED
from streams.kafka.reading import Reading
from streams.kafka.registry import open_codec
from streams.local.load.checker import check
from streams.local.load.plan import QUESTIONS, Outgoing, Sort
from streams.local.load.run import Result, run
from streams.local.stack import StackOptions
from streams.replay.whole import Replayed, Wanted, replay
from tests.local.whole import Whole, whole
from tests.streams.loop.harness import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

CUSTOMERS = 12
MESSAGES = 60
IDLE_DAYS = 2 / 86_400
PATIENCE_S = 120.0
ENDS = frozenset({OutcomeKind.ANSWERED, OutcomeKind.HANDED})
"""One customer asks for a person at the end, who has the conversation from then on."""


async def table(up: Whole, kept: str) -> dict[str, float]:
    """Return how many conversations of each stage have their state there."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{up.stack.port('worker')}/metrics")
    return {
        sample.labels["stage"]: sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == "table_conversations" and sample.labels["kept"] == kept
    }


async def at_rest(up: Whole) -> None:
    """Wait until every conversation rests that has no timer: a person's may have one."""

    async def seen() -> bool:
        here, away = await table(up, "memory"), await table(up, "postgres")
        quiet = not any(here.get(stage) for stage in ("ai", "tools", "outbound"))
        return quiet and away.get("dispatch", 0) >= CUSTOMERS - 1

    await until(seen, "conversations at rest", PATIENCE_S)


async def restarted(up: Whole) -> None:
    await up.stack.kill("worker")
    await up.stack.start("worker")


async def delivered_again(up: Whole, messages: list[Outgoing], reading: Reading) -> None:
    """Deliver old messages once more, and wait until dispatch has decided about them."""
    topics = (MESSAGE_RECEIVED.name, CONVERSATION_CHANGED.name)
    since = await reading.ends(topics)
    await up.sender(rate=0).send([[message] for message in messages])

    async def ignored() -> bool:
        found = [each.event for each in await reading.read(topics, since=since)]
        decisions = [each.decision for each in found if isinstance(each, ConversationChanged)]
        return decisions.count("duplicate_ignored") >= len(messages)

    await until(ignored, "decisions about what was delivered again", PATIENCE_S)


def another(message: Outgoing) -> Outgoing:
    """Return a new message of the same customer."""
    return replace(
        message,
        sequence=1000,
        wamid=f"{message.wamid}-later",
        sort=Sort.QUESTION,
        text=QUESTIONS[0],
        expects=ENDS,
    )


async def lived(up: Whole) -> tuple[Result, Result, Replayed, list[ConversationChanged]]:
    """A load with a killed worker, a rest, a killed worker, old messages, and new ones."""
    reading = Reading(up.current.kafka_bootstrap, await open_codec(up.current))
    sender = up.sender(rate=10)
    load = asyncio.create_task(up.load(sender, CUSTOMERS, MESSAGES))
    await until(lambda: len(sender.sent) >= MESSAGES // 2, "half of the load", PATIENCE_S)
    await restarted(up)
    loaded = await load
    await at_rest(up)
    await restarted(up)
    first = list({message.customer: message for message in reversed(sender.sent)}.values())
    await delivered_again(up, first, reading)
    later = await run(
        [[another(message)] for message in first], reading, up.sender(rate=0), patience_s=PATIENCE_S
    )
    result = await replay(up.current, Wanted(), lambda _: None)
    records = [each.event for each in await reading.read((CONVERSATION_CHANGED.name,))]
    return loaded, later, result, [e for e in records if isinstance(e, ConversationChanged)]


async def test_conversations_rest_and_come_back_and_every_decision_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHATICKET_HOME", str(tmp_path))
    options = StackOptions(
        home=tmp_path, warm=False, without=("api",), settings={"IDLE_DAYS": f"{IDLE_DAYS:.8f}"}
    )
    async with whole(options) as up:
        loaded, later, result, changes = await lived(up)

    assert check(loaded.known) == []
    assert check(later.known) == []
    assert [verdict.difference for verdict in result.verdicts if verdict.difference] == []
    assert sum(verdict.skipped for verdict in result.verdicts) == 0
    assert sum(verdict.replayed for verdict in result.verdicts) > MESSAGES
    by_conversation: dict[str, dict[int, int]] = {}
    for each in changes:
        assert each.cause is not None
        by_conversation.setdefault(each.conversation_id, {})[each.cause.seq] = each.epoch
    for steps in by_conversation.values():
        assert sorted(steps) == list(range(1, len(steps) + 1))
        assert all(one <= other for one, other in pairwise(steps[seq] for seq in sorted(steps)))
    assert len(by_conversation) == CUSTOMERS
