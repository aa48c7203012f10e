"""Lanes: order inside a conversation, none between them, and room that is given back."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest

from agents.ports import Delivery, Superseded
from schemas.events import Event, MessageReceived
from tests.streams.loop.fakes import NAMES, FakeMessage, Rig
from tests.streams.loop.toy import Tally, Toys, received

Decided = tuple[Tally, tuple[Event, ...]]
TOYS = Toys(NAMES)


class Gate:
    """An agent whose events wait until they are let through."""

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.done: dict[str, list[str]] = defaultdict(list)
        self.open = asyncio.Event()

    async def __call__(self, state: Tally | None, event: Event, delivery: Delivery) -> Decided:
        assert isinstance(event, MessageReceived)
        assert event.conversation_id not in self.running
        self.running.add(event.conversation_id)
        await self.open.wait()
        self.running.discard(event.conversation_id)
        self.done[event.conversation_id].append(event.wamid)
        return await TOYS.talk(state, event, delivery)


async def test_conversations_run_side_by_side_and_each_in_order() -> None:
    gate = Gate()
    rig = Rig(gate)
    for number in range(6):
        assert rig.lanes.take(rig.message(received(NAMES, number % 3, number), number))
    await asyncio.sleep(0)
    assert gate.running == {"conv_0", "conv_1", "conv_2"}

    gate.open.set()
    await rig.idle()

    assert dict(gate.done) == {
        f"conv_{c}": [f"wamid.{c}.{c}", f"wamid.{c}.{c + 3}"] for c in range(3)
    }
    assert rig.lanes.inflight == 0


async def test_a_hot_conversation_holds_back_only_the_partition_it_filled() -> None:
    gate = Gate()
    rig = Rig(gate, lane_limit=4)
    hot = [rig.message(received(NAMES, 0, n), n) for n in range(5)]
    assert [rig.lanes.take(message) for message in hot] == [True] * 4 + [False]
    assert set(rig.lanes.held) == {hot[0].tp}

    other = rig.message(received(NAMES, 1, 0), 9)
    assert rig.lanes.take(other)

    gate.open.set()
    await rig.idle()
    assert rig.lanes.held == {}
    await rig.feed(hot[4])
    assert gate.done["conv_0"] == [f"wamid.0.{n}" for n in range(5)]


async def test_a_full_stage_takes_no_more_until_there_is_room_again() -> None:
    gate = Gate()
    rig = Rig(gate, max_inflight=4)
    messages = [rig.message(received(NAMES, n, 0), n) for n in range(5)]
    assert [rig.lanes.take(message) for message in messages] == [True] * 4 + [False]

    gate.open.set()
    await rig.idle()

    assert rig.lanes.held == {}
    await rig.feed(messages[4])
    assert len(gate.done) == 5


def sized(conversation: int, offset: int, size: int) -> FakeMessage:
    return FakeMessage(NAMES.inbox.name, offset, f"conv_{conversation}".encode(), b"\x01" * size)


async def test_large_records_fill_a_stage_by_their_bytes() -> None:
    rig = Rig(TOYS.talk, max_inflight_bytes=1000)
    taken = [rig.lanes.take(sized(n, n, 400)) for n in range(3)]
    assert (taken, rig.lanes.inflight_bytes) == ([True, True, False], 800)

    await rig.idle()

    assert (rig.lanes.held, rig.lanes.inflight_bytes) == ({}, 0)
    await rig.feed(sized(2, 2, 400))


async def test_one_conversation_fills_only_its_part_of_the_bytes() -> None:
    rig = Rig(TOYS.talk, max_inflight_bytes=8000)
    taken = [rig.lanes.take(sized(0, n, 400)) for n in range(3)]
    assert taken == [True, True, False]

    assert rig.lanes.take(sized(1, 3, 400))

    await rig.idle()
    assert (rig.lanes.held, rig.lanes.inflight_bytes) == ({}, 0)


async def test_a_record_larger_than_all_the_room_is_taken_alone() -> None:
    rig = Rig(TOYS.talk, max_inflight_bytes=100)

    assert rig.lanes.take(sized(0, 0, 400))
    assert not rig.lanes.take(sized(1, 1, 1))

    await rig.idle()
    assert rig.lanes.take(sized(1, 1, 1))
    await rig.idle()


async def test_a_newer_matching_event_cancels_the_call() -> None:
    cancelled = asyncio.Event()
    outcomes: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    def stops(event: Event) -> bool:
        return isinstance(event, MessageReceived) and event.text == "stop"

    async def agent(state: Tally | None, event: Event, delivery: Delivery) -> Decided:
        assert isinstance(event, MessageReceived)
        if event.text == "begin":
            with pytest.raises(Superseded):
                await delivery.unless(stops, forever())
            outcomes.append("superseded")
        return await TOYS.talk(state, event, delivery)

    rig = Rig(agent)
    assert rig.lanes.take(rig.message(received(NAMES, 0, 0, "begin"), 0))
    assert rig.lanes.take(FakeMessage(NAMES.inbox.name, 1, b"conv_0", b"\x01poison"))
    assert rig.lanes.take(rig.message(received(NAMES, 0, 2, "more"), 2))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not cancelled.is_set()

    assert rig.lanes.take(rig.message(received(NAMES, 0, 3, "stop"), 3))
    await rig.idle()

    assert cancelled.is_set()
    assert outcomes == ["superseded"]
    assert len(rig.app.consumer.settled) == 4


async def test_a_call_that_ends_first_gives_its_result() -> None:
    answers: list[int] = []

    async def answer() -> int:
        return 42

    async def agent(state: Tally | None, event: Event, delivery: Delivery) -> Decided:
        answers.append(await delivery.unless(lambda _: True, answer()))
        return await TOYS.talk(state, event, delivery)

    rig = Rig(agent)
    await rig.feed(rig.message(received(NAMES, 0, 0), 0))

    assert answers == [42]


async def test_a_drain_finishes_what_runs_and_leaves_the_queue_for_redelivery() -> None:
    gate = Gate()
    rig = Rig(gate)
    object.__setattr__(rig.stage, "queued_share", 0.0)
    for number in range(3):
        assert rig.lanes.take(rig.message(received(NAMES, 0, number), number))
    await asyncio.sleep(0)

    draining = asyncio.ensure_future(rig.lanes.drain(30))
    await asyncio.sleep(0)
    gate.open.set()
    await draining

    assert gate.done["conv_0"] == ["wamid.0.0"]
    assert [m.offset for m in rig.app.consumer.settled] == [0]
    assert rig.lanes.inflight == 0


async def test_what_still_runs_after_the_drain_is_cancelled_and_not_settled() -> None:
    gate = Gate()
    rig = Rig(gate)
    assert rig.lanes.take(rig.message(received(NAMES, 0, 0), 0))
    await asyncio.sleep(0)

    assert await rig.lanes.drain(0.01) == 1
    await rig.lanes.cancel()

    assert rig.app.consumer.settled == []
    assert (rig.lanes.inflight, rig.lanes.lanes) == (0, {})


async def test_lanes_work_again_after_a_cancel() -> None:
    gate = Gate()
    rig = Rig(gate)
    assert rig.lanes.take(rig.message(received(NAMES, 0, 0), 0))
    await rig.lanes.cancel()  # before its task ever ran

    gate.open.set()
    await rig.feed(rig.message(received(NAMES, 0, 0), 0))

    assert gate.done["conv_0"] == ["wamid.0.0"]
