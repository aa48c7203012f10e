"""The law of rest: whoever rests, whenever and however often, what is decided stays the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.core.conversation import Conversation
from schemas.events import (
    Author,
    Command,
    ControlRequested,
    ConversationChanged,
    Event,
    OutboundKind,
    OutboundRequested,
    Phase,
    SettingsChanged,
    TimerFired,
)
from streams.processor.stages import dispatch_stage, read_by
from streams.state.records import Entry
from tests.agents.dispatch.talk import SETTINGS, T0, envelope, message
from tests.streams.loop.fakes import IDLE_MS, FakeShelf, Rig

DAY_MS = 86_400_000
MARIA = "conv_0f"
WHO = ("conv_1f", "conv_2f")


class Calm:
    """The ports of dispatch, when nothing is wrong."""

    def get(self, tenant_id: str, /) -> SettingsChanged | None:
        return SETTINGS if tenant_id == SETTINGS.tenant_id else None

    async def bar(self, conversation_id: str, epoch: int, /) -> None:
        del conversation_id, epoch

    async def keep(self, conversation_id: str, ids: Mapping[str, str], /) -> None:
        del conversation_id, ids

    async def knows(self, conversation_id: str, packed: str, /) -> bool:
        del conversation_id, packed
        return False


class Dispatching:
    """Dispatch on the real loop; its conversations may rest, and its worker may be replaced."""

    def __init__(self) -> None:
        self.now_ms = T0
        self.offsets: dict[str, int] = {}
        self.changelog: list[tuple[bytes | None, bytes | None, int]] = []
        self.said: list[tuple[str, bytes]] = []
        self.shelf = FakeShelf()
        self.rests = 0
        self.start()

    def start(self) -> None:
        """A new worker: its table is what the changelog says."""
        port: Any = Calm()
        self.rig = Rig(
            dispatch_stage(port, takeovers=port, archive=port).agent,
            state=Conversation,
            inputs=read_by("dispatch"),
            shelf=self.shelf,
        )
        self.rig.table.apply(self.changelog)
        self.rig.app.consumer.done |= {
            (topic, offset) for topic, end in self.offsets.items() for offset in range(end)
        }

    async def happens(self, event: Event) -> None:
        self.rig.clock.ms = self.now_ms
        offset = self.offsets.get(event.event, 0)
        self.offsets[event.event] = offset + 1
        await self.rig.feed(self.rig.message(event, offset))
        self.collect()

    async def fire(self) -> None:
        """Let every timer that is armed now come due."""
        for key in WHO:
            for timer, due in (await self.state(key)).timers.items() if key in self.known() else ():
                self.now_ms = max(self.now_ms, due)
                await self.happens(fired(key, timer, due, self.now_ms))

    def known(self) -> set[str]:
        """Return the conversations that ever spoke."""
        return {key.decode() for key, _, _ in self.changelog if key}

    async def rest(self) -> int:
        self.rig.clock.ms = self.now_ms
        count = await self.rig.resting.sweep()
        self.collect()
        self.rests += count
        return count

    def collect(self) -> None:
        """Note what was published, in its order."""
        for record, _ in self.rig.publisher.posted:
            if record.topic == "changelog":
                self.changelog.append((record.key, record.value, 0))
            else:
                self.said.append((record.topic, record.value or b""))
        self.rig.publisher.posted.clear()

    async def entry(self, who: str) -> Entry:
        return Entry.loads(await self.rig.resting.value(who.encode(), 0) or b"")

    async def state(self, who: str) -> Conversation:
        return msgspec.json.decode((await self.entry(who)).state, type=Conversation)

    def decisions(self) -> list[ConversationChanged]:
        found = (self.rig.codec.decode(raw) for _, raw in self.said)
        return [event for event in found if isinstance(event, ConversationChanged)]

    def outbound(self) -> list[OutboundRequested]:
        found = (self.rig.codec.decode(raw) for _, raw in self.said)
        return [event for event in found if isinstance(event, OutboundRequested)]


def fired(who: str, timer: str, due_ms: int, at_ms: int) -> TimerFired:
    fields = envelope("conversation.timer.fired", f"{who}:{timer}:{due_ms}", at_ms)
    return TimerFired(**{**fields, "conversation_id": who}, timer=timer, due_at=due_ms)


def control(number: int, command: Command, at_ms: int, **more: Any) -> ControlRequested:
    fields = {**envelope("inbox.control.requested", f"request-{number}", at_ms), **more}
    return ControlRequested(**fields, command=command, request_id=f"r{number}")


def written(number: int, who: str, what: int, at_ms: int) -> Event:
    """Return an event that follows from its number: a message that may be a repetition, or a
    command.
    """
    if what < 6:
        return message(f"wamid.{what}", f"{who} {what}", at_ms, conversation_id=who)
    commands = (Command.TAKEOVER, Command.RELEASE, Command.CLOSE, Command.TAG)
    return control(number, commands[what - 6], at_ms, conversation_id=who)


ACTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(WHO), st.integers(0, 9)),
        st.just("due"),
        st.just("rest"),
        st.just("restart"),
    ),
    max_size=25,
)


async def lived(acts: Iterable[str | tuple[str, int]], *, resting: bool) -> Dispatching:
    """Let everything happen at the same times, with or without rests and restarts."""
    world = Dispatching()
    for number, act in enumerate(acts):
        world.now_ms += 2 * IDLE_MS
        match act:
            case "rest":
                await (world.rest() if resting else asyncio.sleep(0))
            case "restart":
                world.start()
            case "due":
                await world.fire()
            case (who, what):
                await world.happens(written(number, who, what, world.now_ms))
            case _:
                raise AssertionError(act)
    return world


@settings(max_examples=150)
@given(ACTS)
def test_with_rests_anywhere_the_same_is_said_byte_for_byte_and_the_states_are_the_same(
    acts: list[str | tuple[str, int]],
) -> None:
    async def both() -> tuple[Dispatching, Dispatching]:
        return await lived(acts, resting=False), await lived(acts, resting=True)

    awake, rested = asyncio.run(both())

    assert rested.said == awake.said
    assert asyncio.run(states(rested)) == asyncio.run(states(awake))


async def states(world: Dispatching) -> list[tuple[Any, ...]]:
    entries = [await world.entry(who) for who in sorted(world.known())]
    return [(entry.state, entry.applied, entry.marks, entry.due_ms) for entry in entries]


async def test_conversations_do_rest_in_this_law() -> None:
    begun: list[str | tuple[str, int]] = [
        ("conv_1f", 0),
        ("conv_2f", 6),
        "rest",
        "restart",
        "due",
        "due",
        "due",
    ]

    world = await lived([*begun, "rest", ("conv_1f", 1), ("conv_2f", 1), "rest"], resting=True)

    assert world.rests == 4
    assert (world.rig.table.size(), len(world.rig.table.absent)) == (0, 2)


async def taken_over() -> Dispatching:
    """A conversation that a person took over in the middle of a turn, and that rests now."""
    world = Dispatching()
    await world.happens(message("wamid.1", "quanto custa?", T0))
    await world.happens(control(1, Command.TAKEOVER, T0))
    world.now_ms += 2 * IDLE_MS
    assert await world.rest() == 1
    assert world.rig.table.size() == 0
    return world


async def test_a_late_delivery_to_a_conversation_that_rests_is_still_a_repetition() -> None:
    world = await taken_over()
    before = world.decisions()

    world.now_ms = T0 + 7 * DAY_MS
    world.start()
    await world.happens(message("wamid.1", "quanto custa?", world.now_ms))

    late = world.decisions()[-1]
    assert (late.decision, late.reason, late.outcomes) == ("duplicate_ignored", "duplicate", ())
    assert late.cause is not None
    assert [late.cause.seq, late.epoch] == [len(before) + 1, before[-1].epoch]


async def test_a_person_keeps_a_conversation_that_rests_and_no_bubble_of_the_ai_passes() -> None:
    world = await taken_over()
    (marker,) = [each for each in world.outbound() if each.kind is OutboundKind.MARKER]

    await world.happens(message("wamid.2", "e aí?", world.now_ms))

    last = world.decisions()[-1]
    assert (last.phase, last.decision) == (Phase.WITH_HUMAN, "handed")
    assert last.epoch == marker.epoch > 0
    assert [each for each in world.outbound() if each.author is Author.AI] == []


async def test_epoch_and_turn_numbers_go_on_upward_after_a_rest() -> None:
    world = await taken_over()
    taken = world.decisions()[-1].epoch

    await world.happens(control(2, Command.RELEASE, world.now_ms))
    released = world.decisions()[-1].epoch
    await world.happens(message("wamid.3", "oi", world.now_ms))
    await world.happens(control(3, Command.TAKEOVER, world.now_ms))
    again = world.decisions()[-1].epoch

    assert taken < released < again
    assert [changed.cause.seq for changed in world.decisions() if changed.cause] == [1, 2, 3, 4, 5]
