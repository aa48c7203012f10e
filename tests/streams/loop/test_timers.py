from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest.mock import MagicMock

import msgspec
import pytest

from agents.outbound import Desk
from schemas.errors import Unavailable
from schemas.events import TimerFired
from schemas.ids import derived
from streams.processor.stage import Stage
from streams.processor.stages import dispatch_stage, outbound_stage
from streams.processor.timers import AGAIN_MS, FAILED_MS, UNREAD_MS, Timers
from streams.state.records import Entry, next_due
from tests.streams.loop.fakes import NAMES, NOW_MS, FakePublisher, FakeTable, FixedClock
from tests.streams.loop.toy import JsonCodec, Tally, Toys

KEY = b"conv_0"


class Clockwork:
    """Timers over a table, with a clock that is turned by hand."""

    def __init__(
        self, absolute: frozenset[str] = frozenset(), patient: frozenset[str] = frozenset()
    ) -> None:
        self.behind: set[int] = set()
        self.table, self.publisher, self.clock = FakeTable(), FakePublisher(), FixedClock()
        stage = Stage(
            name="unit",
            inputs=(NAMES.inbox, NAMES.timer),
            state=Tally,
            agent=Toys(NAMES).talk,
            timer_topic=NAMES.timer,
            absolute=absolute,
            patient=patient,
        )
        self.timers = Timers(
            stage,
            self.table,
            JsonCodec(),
            self.publisher,
            clock=self.clock,
            serving=lambda: True,
        )
        self.timers.behind = lambda partition: partition in self.behind
        self.table.armed = self.timers.arm

    def store(
        self, timers: Mapping[str, int], key: bytes = KEY, partition: int = 0, at_ms: int = 0
    ) -> None:
        state = Tally("toys", key.decode(), "cust", timers=timers)
        entry = Entry(msgspec.json.encode(state), {}, due_ms=next_due(timers), at_ms=at_ms)
        self.table.apply([(key, entry.dumps(), partition)])

    def fired(self) -> list[tuple[str, str, int]]:
        events = [JsonCodec().decode(r.value) for r in self.publisher.on(NAMES.timer.name)]
        return [(e.conversation_id, e.timer, e.due_at) for e in events if isinstance(e, TimerFired)]


async def test_a_due_timer_is_published_once_with_an_id_that_follows_from_it() -> None:
    work = Clockwork()
    work.store({"burst": NOW_MS + 100, "pause": NOW_MS + 99_999})

    await work.timers.fire()
    assert work.fired() == []

    work.clock.ms += 100
    await work.timers.fire()
    await work.timers.fire()

    assert work.fired() == [("conv_0", "burst", NOW_MS + 100)]
    (record,) = work.publisher.on(NAMES.timer.name)
    event = JsonCodec().decode(record.value)
    assert event.event_id == derived("conv_0", "burst", NOW_MS + 100)
    assert (record.key, event.occurred_at) == (KEY, NOW_MS + 100)


async def test_the_next_timer_of_a_conversation_fires_at_its_own_time() -> None:
    work = Clockwork()
    work.store({"burst": NOW_MS, "pause": NOW_MS + 500})

    await work.timers.fire()
    work.clock.ms += 500
    await work.timers.fire()

    assert [name for _, name, _ in work.fired()] == ["burst", "pause"]


async def test_what_may_have_ended_by_now_waits_until_the_partition_was_caught_up_with() -> None:
    work = Clockwork(patient=frozenset({"handoff", "unknown_cap"}))
    work.behind = {1}
    work.store({"handoff": NOW_MS, "burst": NOW_MS}, partition=1)
    work.store({"unknown_cap:a": NOW_MS}, key=b"conv_1", partition=1)
    work.store({"unknown_cap:a": NOW_MS}, key=b"conv_2", partition=1)
    work.store({"handoff": NOW_MS}, key=b"conv_3", partition=2)

    await work.timers.fire()
    assert [(who, name) for who, name, _ in work.fired()] == [
        ("conv_0", "burst"),
        ("conv_3", "handoff"),
    ]

    work.store({}, key=b"conv_1", partition=1)  # what was read has ended it
    work.behind = set()
    work.clock.ms += UNREAD_MS
    await work.timers.fire()
    assert [(who, name) for who, name, _ in work.fired()[2:]] == [
        ("conv_0", "handoff"),
        ("conv_2", "unknown_cap:a"),
    ]


def test_so_do_all_timers_that_call_a_person_or_take_their_place() -> None:
    nobody: Any = MagicMock()
    desk = Desk(claims=nobody, permits=nobody, courier=nobody, tenants=nobody, clock=nobody)

    dispatch = dispatch_stage(nobody, takeovers=nobody, archive=nobody)
    assert dispatch.patient == {"handoff", "return", "pause"}
    assert outbound_stage(desk).patient == {"unknown_cap"}


async def test_a_timer_that_waits_is_not_looked_at_all_the_time() -> None:
    work = Clockwork(patient=frozenset({"handoff"}))
    work.behind = {0}
    work.store({"handoff": NOW_MS})

    await work.timers.fire()

    assert work.timers.due[KEY] == (NOW_MS + UNREAD_MS, 0)


async def test_a_timer_that_was_disarmed_or_moved_does_not_fire() -> None:
    work = Clockwork()
    work.store({"burst": NOW_MS})
    work.store({}, key=b"conv_1")
    work.store({"burst": NOW_MS}, key=b"conv_1")
    work.store({}, key=b"conv_1")
    work.store({"burst": NOW_MS + 10})

    await work.timers.fire()

    assert work.fired() == []
    assert set(work.timers.due) == {KEY}


async def test_an_unrelated_change_does_not_fire_the_same_timer_again() -> None:
    work = Clockwork()
    work.store({"burst": NOW_MS})
    await work.timers.fire()

    work.store({"burst": NOW_MS})
    await work.timers.fire()

    assert len(work.fired()) == 1


async def test_a_timer_that_stays_due_is_published_again_after_a_while() -> None:
    work = Clockwork()
    work.store({"burst": NOW_MS})
    await work.timers.fire()

    work.clock.ms += AGAIN_MS - 1
    await work.timers.fire()
    assert len(work.fired()) == 1

    work.clock.ms += 1
    await work.timers.fire()
    assert work.fired() == [("conv_0", "burst", NOW_MS)] * 2


async def test_timers_of_lost_partitions_are_dropped() -> None:
    work = Clockwork()
    work.store({"burst": NOW_MS}, partition=0)
    work.store({"burst": NOW_MS}, key=b"conv_1", partition=1)

    work.timers.keep({1})
    await work.timers.fire()

    assert work.fired() == [("conv_1", "burst", NOW_MS)]


async def test_a_timer_that_could_not_be_posted_is_tried_again_soon() -> None:
    work = Clockwork()
    work.store({"burst": NOW_MS})

    async def refuse(*_: object) -> None:
        raise Unavailable("kafka")

    post = work.publisher.post
    work.publisher.post = refuse  # type: ignore[method-assign,assignment] # the broker is down
    await work.timers.fire()
    work.publisher.post = post  # type: ignore[method-assign] # and back

    work.clock.ms += FAILED_MS
    await work.timers.fire()

    assert work.fired() == [("conv_0", "burst", NOW_MS)]


async def test_a_state_that_cannot_be_read_stops_no_other_timer() -> None:
    work = Clockwork()
    work.table.apply([(b"conv_1", Entry(b"no state", {}, due_ms=NOW_MS).dumps(), 0)])
    work.store({"burst": NOW_MS})

    await work.timers.fire()
    work.clock.ms += FAILED_MS
    await work.timers.fire()

    assert work.fired() == [("conv_0", "burst", NOW_MS)]
    assert work.timers.due[b"conv_1"][0] > work.clock.ms, "it is looked at again, but not on end"


async def test_an_error_that_nobody_foresaw_stops_no_timer_and_loses_none() -> None:
    work = Clockwork()
    work.store({"burst": NOW_MS})
    work.store({"burst": NOW_MS}, key=b"conv_1")
    left = [LookupError("nobody foresaw it")] * 2
    post = work.publisher.post

    async def stumble(*given: Any) -> Any:
        if left:
            raise left.pop()
        return await post(*given)

    work.publisher.post = stumble  # type: ignore[method-assign,assignment] # see above
    await work.timers.fire()
    work.clock.ms += FAILED_MS
    await work.timers.fire()

    assert sorted(work.fired()) == [("conv_0", "burst", NOW_MS), ("conv_1", "burst", NOW_MS)]


# Early


async def test_a_timer_may_be_published_early_and_is_the_same_event() -> None:
    work = Clockwork()
    work.store({"rate:b1": NOW_MS + 15_000})

    assert await work.timers.hasten("conv_0", "rate:b1")

    assert work.fired() == [("conv_0", "rate:b1", NOW_MS + 15_000)]
    event = JsonCodec().decode(work.publisher.on(NAMES.timer.name)[0].value)
    assert event.event_id == derived("conv_0", "rate:b1", NOW_MS + 15_000)
    assert event.occurred_at == NOW_MS


async def test_a_timer_that_was_hastened_is_not_published_again_at_its_time() -> None:
    work = Clockwork()
    work.store({"rate:b1": NOW_MS + 15_000})
    assert await work.timers.hasten("conv_0", "rate:b1")

    work.clock.ms += 15_000
    await work.timers.fire()

    assert len(work.fired()) == 1


async def test_a_timer_that_was_hastened_and_armed_again_is_hastened_once_that_is_stored() -> None:
    work = Clockwork()
    work.store({"rate:b1": NOW_MS + 15_000})
    assert await work.timers.hasten("conv_0", "rate:b1")
    assert not await work.timers.hasten("conv_0", "rate:b1")

    work.store({"rate:b1": NOW_MS + 15_020})  # it came in vain

    assert await work.timers.hasten("conv_0", "rate:b1")
    assert [due_ms - NOW_MS for _, _, due_ms in work.fired()] == [15_000, 15_020]


async def test_a_hastened_timer_that_stays_is_published_again_after_a_while() -> None:
    work = Clockwork()
    work.store({"rate:b1": NOW_MS + 100})
    await work.timers.hasten("conv_0", "rate:b1")

    work.clock.ms += AGAIN_MS
    await work.timers.fire()

    assert len(work.fired()) == 2


async def test_a_timer_that_could_not_be_hastened_can_be_and_comes_at_its_time() -> None:
    work = Clockwork()
    work.store({"rate:b1": NOW_MS + 15_000, "rate:b2": NOW_MS + 15_000})

    async def refuse(*_: object) -> object:
        raise Unavailable("kafka")

    post = work.publisher.post
    work.publisher.post = refuse  # type: ignore[method-assign,assignment] # the broker is down
    for timer in ("rate:b1", "rate:b2"):
        with pytest.raises(Unavailable):
            await work.timers.hasten("conv_0", timer)
    work.publisher.post = post  # type: ignore[method-assign]

    assert await work.timers.hasten("conv_0", "rate:b1")
    work.clock.ms += 15_000
    await work.timers.fire()

    assert [timer for _, timer, _ in work.fired()] == ["rate:b1", "rate:b2"]


async def test_only_a_timer_that_is_armed_here_can_be_hastened() -> None:
    work = Clockwork()
    work.store({"rate:b1": NOW_MS + 100})

    assert not await work.timers.hasten("conv_0", "rate:b2")
    assert not await work.timers.hasten("conv_1", "rate:b1")
    work.timers.keep({1})
    assert not await work.timers.hasten("conv_0", "rate:b1")
    assert work.fired() == []


async def test_a_worker_that_does_not_serve_hastens_nothing() -> None:
    work = Clockwork()
    work.store({"rate:b1": NOW_MS + 100})
    work.timers.serving = lambda: False

    assert not await work.timers.hasten("conv_0", "rate:b1")
