from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from schemas.events import (
    ConversationChanged,
    Event,
    HandoffRequested,
    MessageReceived,
    OutcomeKind,
    TurnKind,
)
from schemas.topics import MESSAGE_RECEIVED
from sinks.ports import Recorded
from streams.clock import WallClock
from streams.kafka.reading import Reading
from streams.kafka.registry import open_codec
from streams.local.demo.shop import TENANT
from streams.local.demo.stage import Played, play
from streams.local.load.checker import check
from streams.local.load.figures import overheads
from streams.local.load.plan import ANSWERED, QUESTIONS, Outgoing, Sort, plan
from streams.local.load.run import CONNECTIONS, Sender, run
from streams.local.outside import Outside, outside, standing
from streams.local.simulator.envelopes import SIGNATURE_HEADER, sign
from streams.settings import Settings
from streams.story.tracing import NotOnTheLog, traced

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

TIMES = 100


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def current(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    """A whole stack of its own: real parts, simulator, offline model, webhook, API, worker.

    One for all tests: a start takes longer than what is tested.
    """
    home = tmp_path_factory.mktemp("live") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHATICKET_HOME", str(home))
        for name in ("WEBHOOK_PORT", "API_PORT"):
            patch.delenv(name, raising=False)
        async with standing(home, lambda _name, _line: None) as settings:
            yield settings


class Flood(Outside):
    """Posts every body many times at once, each time once."""

    def __init__(self, current: Settings, client: aiohttp.ClientSession) -> None:
        super().__init__(current, client)
        self.answers: list[int] = []

    async def post(self, body: bytes) -> None:
        self.answers += await asyncio.gather(*(self._once(body) for _ in range(TIMES)))

    async def _once(self, body: bytes) -> int:
        headers = {SIGNATURE_HEADER: sign(self.secret, body), "Content-Type": "application/json"}
        async with self.client.post(self.webhook, data=body, headers=headers) as answer:
            return answer.status


def question(customer: str) -> Outgoing:
    return Outgoing(
        customer=customer,
        sequence=1,
        wamid=f"wamid.live-{customer}",
        sort=Sort.QUESTION,
        text=QUESTIONS[0],
        target="",
        expects=ANSWERED,
    )


async def test_demo_load_and_trace_on_a_whole_stack(current: Settings) -> None:
    shown: list[Recorded] = []
    async with outside(current, CONNECTIONS) as world:
        first = await play(current, world, shown.append)
        again = await play(current, world, shown.append)
        reading = Reading(current.kafka_bootstrap, await open_codec(current))
        made = plan(10, 60, run="test", seed=3)
        loaded = await run(made, reading, Sender(world, WallClock()), patience_s=120)

    assert first.violations == []
    assert again.violations == [], "a second run on kept data"
    assert first.known.sent != again.known.sent
    assert len(first.known.accepted) == len(first.known.requested) > 0
    assert shown
    assert check(loaded.known) == []
    assert overheads(loaded.records).whole
    await _the_log_tells(current, first)


async def _the_log_tells(current: Settings, played: Played) -> None:
    answered = played.posts[-4:]
    for post in answered:
        told = await traced(current, wamid=post.sent[0].wamid)
        assert [outcome.kind in post.sent[0].expects for outcome in told.outcomes] == [True]
        assert told.entries[0].what == "the customer sent text"
    ours = next(a for a in played.known.accepted)
    (bubble,) = [
        bubble
        for bubble in (await traced(current, wamid=ours.wamid)).bubbles
        if bubble.wamid == ours.wamid
    ]
    assert [step.what for step in bubble.steps[:3]] == ["asked", "posted", "accepted"]
    kinds = {o.kind for outcomes in played.known.outcomes.values() for o in outcomes}
    assert kinds == {OutcomeKind.ANSWERED, OutcomeKind.HANDED, OutcomeKind.IGNORED}
    with pytest.raises(NotOnTheLog):
        await traced(current, wamid="wamid.nowhere")


async def test_one_message_that_is_posted_a_hundred_times_at_once_is_acted_on_once(
    current: Settings,
) -> None:
    asked = question("5500900000001")
    reading = Reading(current.kafka_bootstrap, await open_codec(current))

    async with aiohttp.ClientSession() as client:
        flood = Flood(current, client)
        loaded = await run([[asked]], reading, Sender(flood, WallClock()), patience_s=120)

    assert flood.answers == [200] * TIMES
    events: list[Event] = [record.event for record in loaded.records]
    received = [e for e in events if isinstance(e, MessageReceived) and e.wamid == asked.wamid]
    (conversation,) = {each.conversation_id for each in received}
    steps = [
        e
        for e in events
        if isinstance(e, ConversationChanged) and e.conversation_id == conversation
    ]
    decided = [e for e in steps if e.cause and e.cause.topic == MESSAGE_RECEIVED.name]
    outcomes = [o for e in steps for o in e.outcomes if o.wamid == asked.wamid]
    turns = [
        e
        for e in events
        if isinstance(e, HandoffRequested)
        and e.kind is TurnKind.START
        and e.conversation_id == conversation
    ]
    assert len(decided) == len(received), "every repetition was decided"
    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.ANSWERED]
    assert [turn.wamids for turn in turns] == [(asked.wamid,)]
    assert [bubble.conversation_id for bubble in loaded.known.accepted] == [conversation]


async def test_the_kill_switch_holds_as_soon_as_the_command_returns(current: Settings) -> None:
    asked = question("5500900000002")
    reading = Reading(current.kafka_bootstrap, await open_codec(current))
    async with outside(current, CONNECTIONS) as world:
        switched = await whaticket("tenant", "set", TENANT, "ai_enabled=false")
        loaded = await run([[asked]], reading, Sender(world, WallClock()), patience_s=120)
        await whaticket("tenant", "set", TENANT, "ai_enabled=true")

    assert switched.splitlines()[-1] == "in use by 2 of 2 live processes"
    (outcome,) = loaded.known.outcomes[asked.wamid]
    assert (outcome.kind, outcome.reason) == (OutcomeKind.HANDED, "ai_disabled")


async def whaticket(*words: str) -> str:
    """Run a command of this stack's folder; return what it said."""
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streams", *words), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await command.communicate()
    assert command.returncode == 0
    return output.decode()
