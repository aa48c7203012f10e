"""A burst in the real lanes and the real loop, whose worker dies while the burst is open."""

from __future__ import annotations

from functools import partial

import pytest

from agents.core.conversation import Conversation
from agents.dispatch import dispatch
from schemas.events import Event, HandoffRequested, MessageReceived, SettingsChanged, TimerFired
from schemas.topics import CONVERSATION_TIMER, HANDOFF_REQUESTED, MESSAGE_RECEIVED
from streams.kafka.publish import Record
from streams.processor.timers import Timers
from tests.agents.ai.samples import Attic, Ledger
from tests.agents.dispatch.talk import SETTINGS, T0, envelope, message
from tests.streams.loop.fakes import Rig

WORDS = ("quero saber", "quanto custa", "o tênis azul")


class Known:
    def get(self, _: str, /) -> SettingsChanged | None:
        return SETTINGS


class Worker:
    """One dispatch worker; what it wrote to its changelog and its topics outlives it."""

    def __init__(self, log: list[Record]) -> None:
        self.log = log
        self.rig = Rig(
            partial(dispatch, tenants=Known(), takeovers=Ledger(), archive=Attic()),
            state=Conversation,
            inputs=(MESSAGE_RECEIVED, CONVERSATION_TIMER),
            timer_topic=CONVERSATION_TIMER,
        )
        self.rig.clock.ms = T0
        self.timers = Timers(
            self.rig.stage,
            self.rig.table,
            self.rig.codec,
            self.rig.publisher,
            clock=self.rig.clock,
            serving=lambda: True,
        )
        self.rig.table.armed = self.timers.arm
        self.rig.table.early = self.timers.corrections.early
        changelog = [(each.key, each.value, 0) for each in log if each.topic == "changelog"]
        self.rig.table.apply(changelog)
        self.rig.publisher.refuse = self._kept

    def _kept(self, record: Record) -> None:
        self.log.append(record)

    async def handle(self, event: Event, offset: int) -> None:
        await self.rig.feed(self.rig.message(event, offset))

    async def fire(self, at_ms: int) -> None:
        """Let the timers that are due be published, and handle them."""
        self.rig.clock.ms = at_ms
        before = len(self.log)
        await self.timers.fire()
        due = [each for each in self.log[before:] if each.topic == CONVERSATION_TIMER.name]
        for offset, record in enumerate(due, before):
            await self.handle(self.rig.codec.decode(record.value), offset)


def compacted(log: list[Record]) -> list[Record]:
    """Return the newest value of the conversation, which is all that a changelog may still have."""
    return [each for each in log if each.topic == "changelog"][-1:]


def words() -> list[MessageReceived]:
    return [message(f"w{n}", text, T0 + n * 700) for n, text in enumerate(WORDS)]


def turns(log: list[Record], codec: Rig) -> dict[str, HandoffRequested]:
    events = [
        codec.codec.decode(each.value) for each in log if each.topic == HANDOFF_REQUESTED.name
    ]
    return {event.event_id: event for event in events if isinstance(event, HandoffRequested)}


@pytest.mark.parametrize("died_after", [1, 2, 3])
async def test_a_burst_survives_its_worker_and_is_one_turn_with_every_message(
    died_after: int,
) -> None:
    log: list[Record] = []
    first = Worker(log)
    for offset, event in enumerate(words()[:died_after]):
        first.rig.clock.ms = event.occurred_at
        await first.handle(event, offset)

    second = Worker(log)
    for offset, event in enumerate(words()):  # nothing was committed: all of it comes again
        second.rig.clock.ms = max(event.occurred_at, T0 + died_after * 700)
        await second.handle(event, offset)
    await second.fire(T0 + 60_000)

    (turn,) = turns(log, second.rig).values()
    assert turn.wamids == ("w0", "w1", "w2")
    assert turn.question == "\n".join(WORDS)


async def test_a_worker_that_died_when_the_burst_was_over_gives_the_same_turn_again() -> None:
    log: list[Record] = []
    first = Worker(log)
    for offset, event in enumerate(words()):
        await first.handle(event, offset)
    await first.fire(T0 + 60_000)
    before = turns(log, first.rig)

    second = Worker(log)
    for offset, record in enumerate(
        [each for each in log if each.topic == CONVERSATION_TIMER.name]
    ):
        await second.handle(second.rig.codec.decode(record.value), 1000 + offset)
    await second.fire(T0 + 61_000)

    assert turns(log, second.rig) == before
    assert len(before) == 1


async def test_a_second_takeover_knows_what_the_first_one_found_of_a_clock_that_was_ahead() -> None:
    log: list[Record] = []
    first = Worker(log)
    first.rig.clock.ms = T0 + 3_600_000
    await first.handle(words()[0], 0)

    second = Worker(log := compacted(log))
    other = {**envelope(CONVERSATION_TIMER.name, "pause:1", T0), "timer": "pause", "due_at": 1}
    await second.handle(TimerFired(**other), 0)  # the burst stays as the first one has armed it
    third = Worker(log := compacted(log))
    await third.fire(T0 + SETTINGS.burst_quiet_ms - 1)
    assert turns(log, third.rig) == {}

    await third.fire(T0 + SETTINGS.burst_quiet_ms)

    assert len(turns(log, third.rig)) == 1
