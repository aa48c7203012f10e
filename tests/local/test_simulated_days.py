"""Seven days in seconds: the clock of simulator and pipeline is moved, and the log is judged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from schemas.events import (
    BubbleState,
    ConversationChanged,
    HandoffRequested,
    MessageReceived,
    OutboundSettled,
    OutcomeKind,
    Phase,
    TurnKind,
)
from schemas.topics import MESSAGE_RECEIVED
from sinks.ports import Recorded
from streams.clock import open_clock
from streams.kafka.reading import Reading
from streams.kafka.registry import open_codec
from streams.local.demo.shop import NUMBER
from streams.local.load.plan import ANSWERED, QUESTIONS, Outgoing, Sort, message_object
from streams.local.load.run import CONNECTIONS, TOPICS, Result, Sender, run
from streams.local.outside import Outside, outside
from streams.local.simulator.envelopes import received
from streams.local.stack import Stack, StackOptions, running
from streams.settings import load

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

T = TypeVar("T")
PATIENCE_S = 120
HOUR_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """A stack whose clock can be moved, with Meta's rules on."""

    stack: Stack
    world: Outside
    reading: Reading
    sender: Sender

    async def ask(self, asked: Outgoing) -> Result:
        """Let a customer write through the simulator; wait until nothing is open any more."""
        return await run([[asked]], self.reading, self.sender, patience_s=PATIENCE_S)

    async def control(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Speak to the simulator's control."""
        url = f"{self.world.simulator}/_simulator/{path}"
        async with self.world.client.request(method, url, json=body) as answer:
            assert answer.status == 200, await answer.text()
            told: dict[str, Any] = await answer.json()
            return told

    async def advance(self, hours: float) -> None:
        """Put the clock of simulator and pipeline forward."""
        await self.control("POST", "clock", {"advance_s": hours * HOUR_S})

    async def since(self, places: dict[Any, int]) -> list[Recorded]:
        """Read what came on the topics."""
        return await self.reading.read(TOPICS, since=places)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def days(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Days]:
    options = StackOptions(
        home=tmp_path_factory.mktemp("days") / "home",
        movable_clock=True,
        simulator=("--rules", "meta"),
    )
    async with running(options) as stack:
        current = load(options.home)
        async with outside(current, CONNECTIONS, by_simulator=True) as world:
            yield Days(
                stack=stack,
                world=world,
                reading=Reading(current.kafka_bootstrap, await open_codec(current)),
                sender=Sender(world, open_clock(current)),
            )


async def eventually(look: Callable[[], Awaitable[T]], good: Callable[[T], bool]) -> T:
    """Look until what is seen is good."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if good(seen := await look()):
                return seen
            await asyncio.sleep(0.3)


def question(customer: str, sequence: int = 1) -> Outgoing:
    return Outgoing(
        customer=customer,
        sequence=sequence,
        wamid=f"wamid.days-{customer}-{sequence}",
        sort=Sort.QUESTION,
        text=QUESTIONS[0],
        target="",
        expects=ANSWERED,
    )


def decided(records: Sequence[Recorded], wamid: str) -> list[ConversationChanged]:
    """Return dispatch's steps about the deliveries of one message."""
    places = {r.position for r in records if _is(r, wamid)}
    return [
        r.event
        for r in records
        if isinstance(r.event, ConversationChanged)
        and r.event.cause is not None
        and r.event.cause.topic == MESSAGE_RECEIVED.name
        and (r.event.cause.partition, r.event.cause.offset)
        in {(place.partition, place.offset) for place in places}
    ]


def outcomes(records: Sequence[Recorded], asked: Outgoing) -> list[OutcomeKind]:
    """Return every outcome that a message got."""
    return [
        outcome.kind
        for r in records
        if isinstance(r.event, ConversationChanged)
        for outcome in r.event.outcomes
        if outcome.wamid == asked.wamid
    ]


def _is(record: Recorded, wamid: str) -> bool:
    return isinstance(record.event, MessageReceived) and record.event.wamid == wamid


async def test_a_message_that_comes_again_for_seven_days_is_acted_on_once(days: Days) -> None:
    first, second = question("5500900000101"), question("5500900000101", 2)
    places = await days.reading.ends(TOPICS)
    await days.control("POST", "misbehaviour", {"wishes": [{"kind": "late", "times": 1}]})

    await days.ask(first)
    for number, hours in enumerate((1, 5, 18, 48), 1):
        await days.advance(hours)
        await eventually(lambda: _late(days), partial(_at_least, number))
    await days.advance(95.9)
    await days.ask(second)  # what is too old to be kept leaves the state when something comes
    await days.advance(0.1)
    records = await eventually(
        lambda: days.since(places), lambda found: len(decided(found, first.wamid)) >= 6
    )

    assert [act["detail"]["status"] for act in await _late(days)] == [200] * 5
    steps = decided(records, first.wamid)
    assert [step.decision for step in steps[1:]] == ["duplicate_ignored"] * 5
    turns = [
        r.event.wamids
        for r in records
        if isinstance(r.event, HandoffRequested)
        and r.event.kind is TurnKind.START
        and r.event.conversation_id == steps[0].conversation_id
    ]
    assert turns == [(first.wamid,), (second.wamid,)]
    assert outcomes(records, first) == outcomes(records, second) == [OutcomeKind.ANSWERED]
    (received, *again) = [r.event.occurred_at for r in records if _is(r, first.wamid)]
    assert again[-1] - received > 6.9 * 24 * HOUR_S * 1000
    book = await days.world.book()
    assert (book["duplicates"], book["accepted"]) == (0, 2)


async def _late(days: Days) -> list[dict[str, Any]]:
    acts: list[dict[str, Any]] = (await days.control("GET", "journal?kind=late"))["acts"]
    return acts


def _at_least(number: int, acts: Sequence[object]) -> bool:
    return len(acts) >= number


async def test_a_bubble_whose_window_closed_is_not_sent_and_a_person_gets_it(days: Days) -> None:
    asked = question("5500900000103")
    places = await days.reading.ends(TOPICS)
    before = await days.control("GET", "control")
    await days.control("POST", "tokens", {"state": "expired"})

    await _say(days, asked)
    await eventually(lambda: days.control("GET", "control"), lambda told: "190" in told["refusals"])
    await days.advance(23.95)  # the gate closes the window five minutes early
    records = await eventually(lambda: days.since(places), lambda found: bool(_with_person(found)))

    steps = _with_person(records)
    settled = [r.event for r in records if isinstance(r.event, OutboundSettled)]
    conversation = steps[0].conversation_id
    ours = [each for each in settled if each.conversation_id == conversation]
    assert (ours[0].state, ours[0].reason) == (BubbleState.FAILED, "window_closed")
    after = await days.control("GET", "control")
    assert after["figures"]["accepted"] == before["figures"]["accepted"]
    assert "131047" not in after["refusals"], "the gate knew by itself"


async def test_a_message_that_waits_six_days_for_our_webhook_is_not_lost(days: Days) -> None:
    asked = question("5500900000104")
    places = await days.reading.ends(TOPICS)
    body = received(NUMBER, message_object(asked, days.sender.clock.now_ms()), name="Cliente")
    await days.stack.stop("webhook")

    url = f"{days.world.simulator}/_simulator/webhook?keep=1"
    async with days.world.client.post(url, json=body) as answer:
        refused = (answer.status, await answer.json())
    await days.advance(6 * 24)
    await days.stack.start("webhook")
    await days.advance(0.1)
    records = await eventually(
        lambda: days.since(places), lambda found: bool(outcomes(found, asked))
    )

    assert refused == (502, {"webhook_status": 0})
    assert len(outcomes(records, asked)) == 1
    assert [r.event.wamid for r in records if isinstance(r.event, MessageReceived)] == [asked.wamid]
    after = await days.control("GET", "control")
    assert "131047" not in after["refusals"], "the gate knew that the window had closed"


async def _say(days: Days, asked: Outgoing) -> None:
    said = {
        "phone_number_id": NUMBER,
        "from": asked.customer,
        "text": asked.text,
        "wamid": asked.wamid,
    }
    await days.control("POST", "messages", said)


def _with_person(records: Sequence[Recorded]) -> list[ConversationChanged]:
    return [
        r.event
        for r in records
        if isinstance(r.event, ConversationChanged) and r.event.phase is Phase.WITH_HUMAN
    ]
