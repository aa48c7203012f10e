"""Idle conversations leave memory, and come back as they were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from faust.types import TP
from structlog.testing import capture_logs

from agents.ports import Delivery
from schemas.errors import Unavailable
from schemas.events import Event
from streams.kafka.publish import Record
from streams.processor import loop
from streams.state.parking import Parking
from streams.state.records import Entry
from streams.watch.pulse import Fenced
from tests.streams.loop.fakes import (
    DOWN,
    IDLE_MS,
    NAMES,
    REFUSING,
    FakePublisher,
    FakeTable,
    Rig,
    failing,
)
from tests.streams.loop.harness import until
from tests.streams.loop.toy import Tally, Toys, received

TOYS = Toys(NAMES)
KEY = b"conv_0"
INBOX = NAMES.inbox.name


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BACKOFF_S", "LONGEST_BACKOFF_S", "WAIT_S", "LONGEST_WAIT_S"):
        monkeypatch.setattr(loop, name, 0.001)


async def spoken(*numbers: int, conversation: int = 0, **more: Any) -> Rig:
    """A worker that has decided messages of a conversation, and then nothing for long."""
    rig = Rig(Toys(NAMES, **more).talk)
    for number in numbers:
        await rig.feed(rig.message(received(NAMES, conversation, number), number))
    rig.clock.ms += 2 * IDLE_MS
    return rig


def seen(entry: Entry) -> tuple[str, ...]:
    return msgspec.json.decode(entry.state, type=Tally).seen


async def test_an_idle_conversation_leaves_memory_and_its_value_is_kept() -> None:
    rig = await spoken(0, 1)
    before = rig.table.entry(KEY)

    assert await rig.resting.sweep() == 1

    assert (rig.table.size(), rig.table.bytes, len(rig.table.absent)) == (0, 0, 1)
    assert rig.table.known() == []
    assert rig.table._partitions == {}
    (raw,) = rig.shelf.rows.values()
    kept = Entry.loads(raw)
    assert (kept.state, kept.applied, kept.marks) == (before.state, before.applied, before.marks)
    assert kept.outbox == ()


async def test_it_comes_back_with_its_next_event_and_goes_on_where_it_was() -> None:
    rig = await spoken(0, 1)
    await rig.resting.sweep()

    await rig.feed(rig.message(received(NAMES, 0, 2), 2))

    entry = rig.table.entry(KEY)
    assert seen(entry) == ("wamid.0.0", "wamid.0.1", "wamid.0.2")
    assert msgspec.json.decode(entry.state, type=Tally).seq == 3
    assert (rig.table.size(), len(rig.table.absent)) == (1, 0)
    assert rig.table.bytes == len(rig.table.raw(KEY) or b"")


async def test_an_old_event_of_it_is_skipped_though_it_rests() -> None:
    rig = await spoken(0, 1)
    await rig.resting.sweep()
    said = len(rig.publisher.posted)

    for number in (0, 1):
        await rig.feed(rig.message(received(NAMES, 0, number), number))

    assert len(rig.publisher.posted) == said
    assert [message.offset for message in rig.app.consumer.settled] == [0, 1, 0, 1]
    assert rig.table.size() == 0


async def test_who_never_spoke_is_looked_for_nowhere() -> None:
    rig = await spoken(0)
    await rig.resting.sweep()
    rig.shelf.down = DOWN

    await rig.feed(rig.message(received(NAMES, 1, 0), 1))

    assert seen(rig.table.entry(b"conv_1")) == ("wamid.1.0",)


async def test_what_spoke_lately_or_has_a_timer_stays() -> None:
    lately, armed = await spoken(0), await spoken(0, timer_ms=10**9)
    lately.clock.ms -= 2 * IDLE_MS

    assert [await rig.resting.sweep() for rig in (lately, armed)] == [0, 0]
    assert [rig.table.size() for rig in (lately, armed)] == [1, 1]


async def test_a_parked_conversation_stays() -> None:
    rig = await spoken()
    parking = Parking("t/0/0", "bug", 1, 1, 0)
    await rig.table.put(KEY, Entry(b"{}", {}, parked=parking).kept(), 0, rig.publisher)

    assert await rig.resting.sweep() == 0


async def test_what_may_still_have_to_be_published_stays() -> None:
    rig = await spoken(0)
    rig.app.consumer.done.clear()

    assert await rig.resting.sweep() == 0

    rig.app.consumer.done.add((INBOX, 0))
    assert await rig.resting.sweep() == 1


async def test_a_conversation_that_is_being_decided_stays() -> None:
    going = asyncio.Event()

    async def slow(
        state: Tally | None, event: Event, delivery: Delivery
    ) -> tuple[Tally, tuple[Event, ...]]:
        if state is not None:
            await going.wait()
        return await TOYS.talk(state, event, delivery)

    rig = Rig(slow)
    await rig.feed(rig.message(received(NAMES, 0, 0), 0))
    rig.clock.ms += 2 * IDLE_MS
    assert rig.lanes.take(rig.message(received(NAMES, 0, 1), 1))

    assert await rig.resting.sweep() == 0

    going.set()
    await rig.idle()
    assert seen(rig.table.entry(KEY)) == ("wamid.0.0", "wamid.0.1")


class Held(FakePublisher):
    """Acknowledges nothing on the changelog until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[asyncio.Future[Any], asyncio.Future[Any]]] = []
        self.holding = True

    async def post(
        self, record: Record, partition: int | None = None
    ) -> asyncio.Future[tuple[int, int]]:
        sent = await super().post(record, partition)
        if not self.holding:
            return sent
        later: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self.held.append((later, sent))
        return later

    def release(self) -> None:
        self.holding = False
        for later, sent in self.held:
            later.set_result(sent.result())


@asynccontextmanager
async def leaving(rig: Rig) -> AsyncIterator[Held]:
    """While the broker has not acknowledged that a conversation leaves."""
    rig.publisher = rig.resting.publisher = rig.loop.publisher = held = Held()
    sweep = asyncio.create_task(rig.resting.sweep())
    await until(lambda: held.held, "the record that says where it is")
    yield held
    assert await sweep == 1


async def test_an_event_that_comes_while_it_leaves_waits_until_it_has_left() -> None:
    rig = await spoken(0)

    async with leaving(rig) as held:
        assert rig.lanes.take(rig.message(received(NAMES, 0, 1), 1))
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(held.posted) == 1
        held.release()
    await rig.idle()

    assert seen(rig.table.entry(KEY)) == ("wamid.0.0", "wamid.0.1")
    assert len(rig.table.absent) == 0
    assert Entry.loads(held.on("changelog")[-1].value or b"").away is None


async def test_a_newer_value_that_was_recovered_while_an_older_one_left_stays() -> None:
    rig = await spoken(0)

    async with leaving(rig) as held:
        newer = Entry(b"{}", {INBOX: 1}, epoch=1).dumps()
        rig.table.apply([(KEY, newer, 0)])
        held.release()

    assert rig.table.raw(KEY) == newer
    assert len(rig.table.absent) == 0


async def test_an_event_that_comes_while_its_value_is_written_elsewhere_keeps_it_here() -> None:
    rig = await spoken(0)
    keep = rig.shelf.keep

    async def slow(*given: Any) -> Mapping[bytes, int]:
        numbers = await keep(*given)
        await rig.feed(rig.message(received(NAMES, 0, 1), 1))
        return numbers

    rig.shelf.keep = slow  # type: ignore[method-assign]

    assert await rig.resting.sweep() == 0

    assert seen(rig.table.entry(KEY)) == ("wamid.0.0", "wamid.0.1")


@pytest.mark.parametrize("down", [DOWN, REFUSING])
async def test_nothing_leaves_while_the_database_is_down(down: Unavailable) -> None:
    rig = await spoken(0)
    rig.shelf.down = down

    with pytest.raises(Unavailable):
        await rig.resting.sweep()

    assert rig.table.size() == 1
    assert len(rig.publisher.on("changelog")) == 1


@pytest.mark.parametrize("down", [DOWN, REFUSING])
async def test_what_rests_waits_for_the_database_and_nobody_else_does(
    down: Unavailable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "TRIES", 1)  # one attempt that counted would park it
    rig = await spoken(0)
    await rig.resting.sweep()
    rig.shelf.down = down

    assert rig.lanes.take(rig.message(received(NAMES, 0, 1), 1))
    await until(lambda: rig.dependencies.why() == "waiting for postgres", "the conversation waits")
    assert rig.lanes.take(rig.message(received(NAMES, 1, 0), 2))
    await until(lambda: rig.table.raw(b"conv_1") is not None, "the other conversation")
    assert rig.table.raw(KEY) is None
    rig.shelf.down = None
    await rig.idle()

    assert seen(rig.table.entry(KEY)) == ("wamid.0.0", "wamid.0.1")


@pytest.mark.parametrize("found", [None, b"another value"])
async def test_a_value_that_was_lost_is_never_taken_for_a_new_conversation(
    found: bytes | None,
) -> None:
    rig = await spoken(0)
    await rig.resting.sweep()
    ((place, kept),) = rig.shelf.rows.items()
    del rig.shelf.rows[place]
    if found is not None:
        rig.shelf.rows[place] = found

    with capture_logs() as lines:
        assert rig.lanes.take(rig.message(received(NAMES, 0, 1), 1))
        await until(lambda: rig.dependencies.why() == "waiting for resting state", "it waits")
    lost = [line for line in lines if line["event"] == "resting.lost"]
    assert {line["conversation"] for line in lost} == {KEY.decode()}
    assert rig.table.raw(KEY) is None
    rig.shelf.rows[place] = kept
    await rig.idle()

    assert seen(rig.table.entry(KEY)) == ("wamid.0.0", "wamid.0.1")


async def test_a_value_that_cannot_be_read_stays_and_holds_back_no_other() -> None:
    rig = await spoken(0)
    cut = Entry(b"{}", {INBOX: 1}).dumps()[:-1]
    rig.table.apply([(b"conv_1", cut, 0)])

    assert await rig.resting.sweep() == 1

    assert rig.table.known() == [b"conv_1"]


async def test_what_the_broker_did_not_take_stays_and_leaves_later() -> None:
    rig = await spoken(0)
    rig.publisher.refuse = failing(Unavailable("kafka"))

    with pytest.raises(Unavailable):
        await rig.resting.sweep()
    assert (rig.table.size(), rig.resting.leaving) == (1, frozenset())

    assert await rig.resting.sweep() == 1


@pytest.mark.parametrize("why", ["serving", "frozen", "generation"])
async def test_a_worker_that_may_have_lost_the_partition_lets_nothing_leave(why: str) -> None:
    rig = await spoken(0)

    async def prove() -> bool:
        return why != "frozen"

    async def regrouped() -> bool:
        rig.app.consumer_generation_id += 1
        return True

    rig.app.serving = why != "serving"
    rig.pulse.prove = prove if why != "generation" else regrouped
    rig.pulse.suspect = True

    with pytest.raises(Fenced):
        await rig.resting.sweep()

    assert rig.table.size() == 1
    assert len(rig.publisher.on("changelog")) == 1


async def test_what_rested_before_is_deleted_once_the_newer_rest_is_sure() -> None:
    rig = await spoken(0)
    await rig.resting.sweep()
    await rig.feed(rig.message(received(NAMES, 0, 1), 1))
    rig.clock.ms += 2 * IDLE_MS
    assert len(rig.shelf.rows) == 1

    await rig.resting.sweep()

    (raw,) = rig.shelf.rows.values()
    assert seen(Entry.loads(raw)) == ("wamid.0.0", "wamid.0.1")


@pytest.mark.parametrize("why", ["no commit is taken", "a rebalance"])
async def test_who_cannot_prove_that_it_was_the_owner_deletes_nothing(why: str) -> None:
    """Whoever owned the conversation meanwhile may need the earlier row."""
    rig = await spoken(0)
    await rig.resting.sweep()
    before = dict(rig.shelf.rows)
    await rig.feed(rig.message(received(NAMES, 0, 1), 1))
    rig.clock.ms += 2 * IDLE_MS

    async def prove() -> bool:
        rig.app.consumer_generation_id += why == "a rebalance"
        return why == "a rebalance"

    rig.pulse.prove = prove  # nothing is suspected, so the rest itself asks nobody

    with pytest.raises(Fenced):
        await rig.resting.sweep()

    assert rig.table.raw(KEY) is None
    assert before.items() <= rig.shelf.rows.items()


async def test_a_restarted_worker_knows_who_rests_and_what_proves_its_logs() -> None:
    rig = await spoken(0, 1)
    ends, proofs = dict(rig.table.ends), dict(rig.table.proofs)
    await rig.resting.sweep()

    again = Rig(TOYS.talk, shelf=rig.shelf)
    again.table.apply([(r.key, r.value, 0) for r in rig.publisher.on("changelog")[-1:]])
    assert (again.table.ends, again.table.proofs) == (ends, proofs)
    assert ends == {TP(INBOX, 0): 1}
    assert (again.table.size(), len(again.table.absent)) == (0, 1)
    await again.feed(again.message(received(NAMES, 0, 2), 2))

    assert seen(again.table.entry(KEY)) == ("wamid.0.0", "wamid.0.1", "wamid.0.2")


def value(applied: int, epoch: int) -> bytes:
    return Entry(b"{}", {"m": applied}, epoch=epoch).dumps()


def away(applied: int, epoch: int, mark: int = 5) -> bytes:
    return Entry(b"", {"m": applied}, epoch=epoch, away=mark).dumps()


@pytest.mark.parametrize(
    ("records", "rests"),
    [
        ([value(1, 1), away(1, 1)], True),
        ([away(1, 1), value(2, 1)], False),
        ([away(1, 2), value(2, 1)], True),  # a zombie's value
        ([value(2, 2), away(1, 1)], False),  # a zombie's rest
        ([value(2, 1), away(1, 1)], False),  # of an older value, late
        ([value(1, 1), away(1, 2)], True),
    ],
)
def test_recovery_tells_a_value_from_a_rest_by_the_owner_then_by_the_log(
    records: list[bytes], *, rests: bool
) -> None:
    table = FakeTable()

    table.apply([(KEY, raw, 3) for raw in records])

    assert (table.absent.mark(KEY, 3), table.size()) == ((5, 0) if rests else (None, 1))
    assert table.partition_of(KEY) == 3
    assert table.bytes == sum(map(len, table._values.values()))


async def test_a_rest_that_a_zombie_overwrote_is_written_again() -> None:
    table, publisher = FakeTable(), FakePublisher()
    table.apply([(KEY, away(1, 2), 3), (KEY, value(0, 1), 3)])
    assert table.overridden == {KEY: 3}

    await table.renew(KEY, 3, publisher)
    after = FakeTable()
    after.apply([(KEY, value(0, 1), 3), (KEY, publisher.posted[0][0].value, 3)])

    assert after.absent.mark(KEY, 3) == 5


def test_partitions_of_others_are_forgotten() -> None:
    table = FakeTable()
    table.apply([(KEY, away(1, 1), 3), (b"conv_1", away(1, 1), 4), (b"conv_2", value(1, 1), 4)])

    table.forget({4})

    assert (table.absent.mark(KEY, 3), table.absent.mark(b"conv_1", 4)) == (None, 5)
    assert table.bytes == len(value(1, 1))


def test_a_tombstone_ends_a_rest() -> None:
    table = FakeTable()

    table.apply([(KEY, away(1, 1), 3), (KEY, None, 3)])

    assert (table.absent.mark(KEY, 3), table.partition_of(KEY)) == (None, None)
