"""A chain of two stages on a real broker: order, exact state, and one effect for each input."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.events import ResponseGenerated
from streams.local.stack import Stack
from streams.state.controls import OWNER_KEY
from streams.state.records import Entry
from tests.streams.loop.harness import everything, lag, publish, publishing, toys, until
from tests.streams.loop.toy import JsonCodec, Names, Tally, chained, received

pytestmark = pytest.mark.integration

CONVERSATIONS = 20


def first_by_id(records: list[Any]) -> dict[str, bytes]:
    """Return the first value of each event; fail when a repetition differs."""
    first: dict[str, bytes] = {}
    for record in records:
        event = JsonCodec().decode(record.value)
        assert first.setdefault(event.event_id, record.value) == record.value
    return first


async def newest_states(bootstrap: str, changelog: str) -> dict[bytes, Tally]:
    states: dict[bytes, Tally] = {}
    for record in await everything(bootstrap, changelog):
        if record.key != OWNER_KEY:
            entry = Entry.loads(record.value)
            states[record.key] = msgspec.json.decode(entry.state, type=Tally)
    return states


async def said(bootstrap: str, names: Names) -> dict[str, list[str]]:
    """Return the words of each conversation as they were first said, in order."""
    codec = JsonCodec()
    words: dict[str, list[str]] = defaultdict(list)
    for raw in first_by_id(await everything(bootstrap, names.said.name)).values():
        event = codec.decode(raw)
        assert isinstance(event, ResponseGenerated)
        words[event.conversation_id].append(event.turn_id)
    return words


async def check(bootstrap: str, names: Names, messages: int) -> None:
    """Check order, effects and state of everything that was sent."""
    wanted = {
        f"conv_{c}": [f"wamid.{c}.{n}" for n in range(messages)] for c in range(CONVERSATIONS)
    }

    async def complete() -> bool:
        found = await said(bootstrap, names)
        return sum(map(len, found.values())) >= messages * CONVERSATIONS

    await until(complete, "everything said")
    assert dict(await said(bootstrap, names)) == wanted

    for topic in (names.inbox, names.asked, names.answered):

        async def settled(name: str = topic.name) -> bool:
            return await lag(bootstrap, names.group, name) == 0

        await until(settled, f"no lag on {topic.name}")

    states = await newest_states(bootstrap, f"whaticket.{names.think}.changelog")
    for key, state in states.items():
        assert list(state.seen) == wanted[key.decode()]
    talk = await newest_states(bootstrap, f"whaticket.{names.talk}.changelog")
    for key, state in talk.items():
        digest = ""
        for word in state.seen:
            digest = chained(digest, word)
        assert state.digest == digest
        asked = [word for word in state.seen if not word.startswith("re:")]
        answered = [word[3:] for word in state.seen if word.startswith("re:")]
        assert asked == answered == wanted[key.decode()]
    assert len(states) == len(talk) == CONVERSATIONS


async def test_a_chain_keeps_order_state_and_one_effect_for_each_input(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        worker = await start("one")
        await publish(
            publisher, *(received(names, c, n) for n in range(25) for c in range(CONVERSATIONS))
        )

        await check(bootstrap, names, 25)

        assert await worker.stop() == 0


async def test_killed_workers_lose_nothing_and_repeat_only_what_was_said(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap

    async def spoken(share: float) -> bool:
        return len(await everything(bootstrap, names.said.name)) >= share * 25 * CONVERSATIONS

    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        first = await start("first")
        await first.ready()
        await publish(
            publisher, *(received(names, c, n) for n in range(15) for c in range(CONVERSATIONS))
        )
        await until(lambda: spoken(0.1), "some of it said")
        first.kill()
        second = await start("second")
        await publish(
            publisher,
            *(received(names, c, n) for n in range(15, 25) for c in range(CONVERSATIONS)),
        )
        await until(lambda: spoken(0.7), "most of it said")
        third = await start("third")
        second.kill()

        await check(bootstrap, names, 25)

        await third.ready()
        assert await third.stop() == 0


async def test_a_stopping_worker_hands_over_without_repeating_anything(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        first, second = await start("first"), await start("second")
        await first.ready()
        await second.ready()
        await publish(
            publisher, *(received(names, c, n) for n in range(25) for c in range(CONVERSATIONS))
        )

        assert await first.stop() == 0

        await check(bootstrap, names, 25)
        assert await second.stop() == 0
        assert len(await everything(bootstrap, names.said.name)) == 25 * CONVERSATIONS


async def test_timers_of_a_stopped_worker_fire_at_its_successor(
    stack: Stack, names: Names, tmp_path: Path
) -> None:
    bootstrap = stack.kafka_bootstrap
    changelog = f"whaticket.{names.talk}.changelog"

    async def armed() -> bool:
        states = await newest_states(bootstrap, changelog)
        return len(states) == CONVERSATIONS and all(s.timers for s in states.values())

    async def fired() -> bool:
        states = await newest_states(bootstrap, changelog)
        return all(state.fired == 1 and not state.timers for state in states.values())

    async with publishing(bootstrap) as publisher, toys(bootstrap, names, tmp_path) as start:
        first = await start("first", timer_ms=8000)
        await publish(publisher, *(received(names, c, 0) for c in range(CONVERSATIONS)))
        await until(armed, "armed timers")
        first.kill()
        await start("second", timer_ms=8000)

        await until(fired, "fired timers")

        ids = [
            JsonCodec().decode(r.value).event_id
            for r in await everything(bootstrap, names.timer.name)
        ]
        assert len(set(ids)) == len(ids) == CONVERSATIONS
