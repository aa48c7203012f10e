"""Whatever happens in whatever order: what is on the log is decided again byte for byte."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agents.core.intent import Intent
from agents.core.turnmessages import distinct
from agents.ports import Completion, Passage, Prompt
from schemas.changing import replace
from schemas.events import (
    Command,
    ControlRequested,
    OutboundSettled,
    ResponseGenerated,
    ResponseOutcome,
    SettingsChanged,
)
from streams.processor.deciding import EFFECT_BYTES
from streams.processor.hearing import notes
from streams.replay.again import Redoer
from streams.replay.found import Found, steps
from streams.replay.judge import Judge, Verdict
from streams.replay.recalled import Versions
from streams.replay.stages import offline
from tests.agents.ai.samples import said
from tests.agents.dispatch.talk import envelope, message
from tests.streams.replay.mill import CODEC, Mill, World

EMOJI = ("\U0001f600" * 50 + "!\n") * 1_000
"""Lines, since of an answer that is too long whole lines are said."""


def mood_of(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - a mood is no secret


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda _: sleep(0))


async def busy(mood: Random, rounds: int = 25) -> Mill:
    """Run the stages while four customers write, people take over and settings change."""
    mill = Mill(mood)
    mill.settle_on(version=7, burst_quiet_ms=mood.choice((0, 1500)))
    for number in range(rounds):
        what = mood.random()
        now = mill.world.now_ms()
        if what < 0.85:
            who = {"conversation_id": f"conv_{mood.randint(0, 3)}f"}
            text = mood.choice(("oi", "quanto custa?", "cadê meu pedido", "x" * 900))
            mill.put(message(f"wamid.{number}", text, now, **who))
        elif what < 0.93:
            fields = envelope("inbox.control.requested", f"request-{number}", now)
            calm = (Command.RELEASE, Command.RELEASE, Command.UNPARK)
            command = mood.choice((Command.TAKEOVER, Command.PAUSE, *calm))
            mill.put(ControlRequested(**fields, command=command, request_id=f"r{number}"))
        else:
            mill.settle_on(version=8 + number, ai_enabled=mood.random() < 0.9)
        for _ in range(mood.randint(0, 12)):
            await mill.turn()
    await mill.rest()
    return mill


async def judged(found: list[Found], **more: Any) -> list[Verdict]:
    versions = Versions(f.event for f in found if isinstance(f.event, SettingsChanged))
    judge = Judge(Redoer(offline(versions), CODEC), {f.position: f.event for f in found}, **more)
    return [await judge.judge(actor, taken) for actor, taken in steps(found).items()]


def differences(verdicts: list[Verdict]) -> list[str]:
    return [f"{v.actor[0]} {v.difference.line}" for v in verdicts if v.difference]


PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""A smaller seed is no smaller example."""


@settings(max_examples=40, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
async def test_whatever_was_decided_is_decided_again_byte_for_byte(seed: int) -> None:
    mill = await busy(mood_of(seed))

    verdicts = await judged(mill.found())

    assert differences(verdicts) == []
    assert {verdict.actor[0] for verdict in verdicts} >= {"dispatch"}
    assert all(verdict.replayed and not verdict.skipped for verdict in verdicts)


WANTED = {
    "claims",
    "claims unavailable",
    "clock",
    "courier",
    "given_up behind",
    "given_up dropped",
    "given_up parked",
    "knowledge",
    "model",
    "model rejected",
    "model unavailable",
    "superseded",
    "tool",
}
MOODS = 200
"""Moods to try until one has what a test looks for; the first ones nearly always have it."""


async def test_every_stage_takes_part_and_hears_good_and_bad_news() -> None:
    stages: set[str] = set()
    missing = set(WANTED)
    for seed in range(MOODS):
        found = (await busy(mood_of(seed), rounds=60)).found()
        stages |= {verdict.actor[0] for verdict in await judged(found) if verdict.replayed > 1}
        missing -= set(_heard(found))
        if not missing:
            break

    assert missing == set()
    assert stages == {"dispatch", "ai", "tools", "outbound"}


def _heard(found: list[Found]) -> Iterator[str]:
    for each in found:
        for note in notes(each.event.cause.heard if each.event.cause else ()):
            gave = msgspec.json.decode(note.gave)
            what = gave[0] if note.call == "given_up" else note.raised
            yield f"{note.call.partition('.')[0]} {what}".strip()


class Wordy(World):
    """A world that says more than anyone wants to read, after a first answer that says nothing."""

    asked = 0

    async def search(self, tenant_id: str, question: str, /, *, limit: int) -> tuple[Passage, ...]:
        del tenant_id, question
        return tuple(replace(self.passage(f"{n}.md"), text=EMOJI) for n in range(limit))

    async def recall(self, tenant_id: str, customer: str, /, *, limit: int) -> tuple[Passage, ...]:
        del tenant_id, customer
        return tuple(replace(self.passage("memory"), text=EMOJI) for _ in range(limit))

    async def complete(self, prompt: Prompt, /, *, agent: str) -> Completion:
        del agent, prompt
        self.asked += 1
        return replace(said("\x01" * 50_000 if self.asked == 1 else EMOJI), prompt_tokens=1)


async def test_what_a_wordy_world_says_leaves_room_in_every_record() -> None:
    mill = Mill(mood_of(1), Wordy(mood_of(1)))
    mill.settle_on(version=7, burst_quiet_ms=0)
    mill.put(message("wamid.1", "quanto custa?", mill.world.now_ms()))
    await mill.rest()

    events = [found.event for found in mill.found()]
    answers = {event.outcome for event in events if isinstance(event, ResponseGenerated)}
    assert answers == {ResponseOutcome.ANSWERED}
    assert 30_000 < max(len(found.value) for found in mill.found()) <= EFFECT_BYTES
    assert differences(await judged(mill.found())) == []


def _clock(*_: Any) -> int:
    return time.perf_counter_ns() % 1_000_000


def _shuffled(real: Callable[..., Any]) -> Callable[..., Any]:
    def shuffled(*given_: Any) -> Any:
        found = list(real(*given_))
        random.shuffle(found)
        return tuple(found)

    return shuffled


def _by_chance(_: str) -> Intent:
    return random.choice(list(Intent))  # noqa: S311 - what no decision may do


@pytest.mark.parametrize(
    ("where", "what", "stage"),
    [
        ("agents.core.dispatch_turns.intent_of", _by_chance, "dispatch"),
        ("agents.core.dispatch_messages.window_end", _clock, "dispatch"),
        ("agents.core.gate_settle.wait_ms", _clock, "outbound"),
        ("agents.core.turnsteps.distinct", _shuffled(distinct), "ai"),
    ],
    ids=["chance in dispatch", "a clock in dispatch", "a clock in the gate", "order in ai"],
)
async def test_a_decision_that_is_not_deterministic_is_found(
    monkeypatch: pytest.MonkeyPatch, where: str, what: Any, stage: str
) -> None:
    monkeypatch.setattr(where, what)

    lines: list[str] = []
    for seed in range(MOODS):  # chance may agree with itself now and then
        found = (await busy(mood_of(seed), rounds=60)).found()
        if lines := differences(await judged(found)):
            break

    assert {line.partition(" step ")[0] for line in lines} == {stage}


async def test_a_changed_record_is_found_and_named() -> None:
    logs = [(await busy(mood_of(seed))).found() for seed in range(3)]
    found, settled = next(
        (log, each.event) for log in logs for each in log if isinstance(each.event, OutboundSettled)
    )
    changed = replace(settled, reason="planted")
    changes = {settled.event_id: Found(changed, found[0].position, CODEC.encode(changed))}

    lines = differences(
        await judged(
            [replace(changes.get(f.event.event_id, f), position=f.position) for f in found]
        )
    )

    assert any(
        line.startswith("outbound step")
        and 'outbound.message.settled reason: recorded "planted", replayed' in line
        for line in lines
    )
