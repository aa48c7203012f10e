"""The rule for state and the failure arms, with everything around the loop faked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from msgspec import structs

from agents.ports import Delivery
from schemas.changing import replace
from schemas.errors import Rejected, Unavailable
from schemas.events import Event, MessageReceived
from streams.deadletters.fuse import FUSE, FuseBlown
from streams.kafka.partitioner import home
from streams.kafka.publish import MAX_RECORD_BYTES, Record
from streams.processor import loop
from streams.processor.parker import LETTER_BYTES
from streams.state.controls import FUSE_KEY, OWNER_KEY, Burnt, Owner
from streams.state.records import STATE_BYTES, Entry
from tests.streams.loop.fakes import DOWN, NAMES, REJECTED, FakeMessage, Rig, failing, too_large
from tests.streams.loop.harness import until
from tests.streams.loop.toy import JsonCodec, Tally, Toys, received, step

Decided = tuple[Tally, tuple[Event, ...]]
TOYS = Toys(NAMES)
KEY = b"conv_0"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BACKOFF_S", "LONGEST_BACKOFF_S", "WAIT_S", "LONGEST_WAIT_S"):
        monkeypatch.setattr(loop, name, 0.001)


def stumbling(*errors: Exception) -> Callable[[Any, Event, Delivery], Awaitable[Decided]]:
    """An agent that fails as often as there are errors, then does what the toy does."""
    left = list(errors)

    async def agent(state: Tally | None, event: Event, delivery: Delivery) -> Decided:
        if left:
            raise left.pop(0)
        return await TOYS.talk(state, event, delivery)

    return agent


def state_of(entry: Entry) -> Tally:
    return msgspec.json.decode(entry.state, type=Tally)


async def test_the_state_is_written_before_its_effects_are_published() -> None:
    rig = Rig(TOYS.talk)

    await rig.feed(rig.message(received(NAMES, 0, 0), 0))

    assert [record.topic for record, _ in rig.publisher.posted] == ["changelog", NAMES.asked.name]
    entry = rig.table.entry(KEY)
    assert entry.outbox == tuple(rig.publisher.on(NAMES.asked.name))
    assert entry.applied == {NAMES.inbox.name: 0}
    assert [m.offset for m in rig.app.consumer.settled] == [0]


async def test_a_redelivered_event_publishes_the_stored_effects_again() -> None:
    rig = Rig(TOYS.talk)
    message = rig.message(received(NAMES, 0, 0), 0)
    await rig.feed(message)

    rig.clock.ms += 1000
    await rig.feed(message)

    first, second = rig.publisher.on(NAMES.asked.name)
    assert first == second
    assert len(rig.publisher.on("changelog")) == 1


async def test_an_older_redelivered_event_is_skipped_without_a_word() -> None:
    rig = Rig(TOYS.talk)
    messages = [rig.message(received(NAMES, 0, n), n) for n in range(3)]
    await rig.feed(*messages)
    posted = len(rig.publisher.posted)

    await rig.feed(messages[0], messages[1])

    assert len(rig.publisher.posted) == posted
    assert [m.offset for m in rig.app.consumer.settled] == [0, 1, 2, 0, 1]


async def test_an_older_redelivered_event_behind_a_running_one_is_not_decided_again() -> None:
    rig = Rig(TOYS.talk)
    messages = [rig.message(received(NAMES, 0, n), n) for n in range(4)]
    await rig.feed(*messages[:3])

    assert rig.lanes.take(messages[3])
    await rig.feed(messages[0])

    assert state_of(rig.table.entry(KEY)).seen == tuple(f"wamid.0.{n}" for n in range(4))
    assert [m.offset for m in rig.app.consumer.settled] == [0, 1, 2, 3, 0]


async def test_an_unpublished_outbox_of_another_topic_is_published_before_it_is_overwritten() -> (
    None
):
    before = Rig(TOYS.talk)
    await before.feed(before.message(received(NAMES, 0, 0), 7))
    kept = before.table.raw(KEY)
    assert kept is not None
    rig = Rig(TOYS.talk)  # the same table after a crash; nothing is known to be finished
    rig.table.apply([(KEY, kept, 0)])
    timer = replace(state_of(before.table.entry(KEY)), timers={"toy": 1})
    changed = structs.replace(before.table.entry(KEY), state=msgspec.json.encode(timer))
    rig.table.apply([(KEY, changed.dumps(), 0)])

    other = replace(received(NAMES, 0, 1), event=NAMES.answered.name)
    await rig.feed(FakeMessage(NAMES.answered.name, 3, KEY, JsonCodec().encode(other)))

    assert rig.publisher.posted[0][0] == before.publisher.on(NAMES.asked.name)[0]


async def test_a_rejected_event_becomes_one_dead_letter_and_its_neighbours_pass() -> None:
    async def agent(state: Tally | None, event: Event, delivery: Delivery) -> Decided:
        assert isinstance(event, MessageReceived)
        if event.wamid.endswith(".1"):
            raise REJECTED
        return await TOYS.talk(state, event, delivery)

    rig = Rig(agent)

    await rig.feed(*(rig.message(received(NAMES, 0, n), n) for n in range(3)))

    (letter,) = rig.publisher.on(NAMES.inbox.dlq)
    headers = dict(letter.headers)
    assert headers["dlq.error.type"] == b"no_good"
    assert headers["dlq.original.offset"] == b"1"
    assert headers["dlq.group"] == b"whaticket.unit"
    assert letter.value == rig.message(received(NAMES, 0, 1), 1).value
    assert state_of(rig.table.entry(KEY)).seen == ("wamid.0.0", "wamid.0.2")
    assert len(rig.app.consumer.settled) == 3


async def test_a_parked_event_may_change_the_state_and_say_so() -> None:
    async def parked(
        state: Tally | None, event: Event, delivery: Delivery, reason: str
    ) -> tuple[Tally, tuple[Event, ...]]:
        assert delivery.now_ms
        said = replace(received(NAMES, 0, 99), event=NAMES.said.name)
        return step(state, event, f"parked:{reason}"), (said,)

    rig = Rig(stumbling(REJECTED), parked=parked)

    await rig.feed(rig.message(received(NAMES, 0, 0), 0))

    assert state_of(rig.table.entry(KEY)).seen == ("parked:no_good",)
    assert len(rig.publisher.on(NAMES.said.name)) == len(rig.publisher.on(NAMES.inbox.dlq)) == 1


async def test_a_bug_is_tried_a_few_times_then_given_up_without_quoting_anyone() -> None:
    rig = Rig(stumbling(*[ValueError("the customer said: secret")] * loop.TRIES))

    await rig.feed(rig.message(received(NAMES, 0, 0), 0))

    (letter,) = rig.publisher.on(NAMES.inbox.dlq)
    headers = dict(letter.headers)
    assert headers["dlq.error.type"] == b"bug"
    assert headers["dlq.attempts"] == str(loop.TRIES).encode()
    assert b"ValueError at test_loop.py" in headers["dlq.error.message"]
    assert b"secret" not in headers["dlq.error.message"]


async def test_a_passing_bug_gives_nothing_up() -> None:
    rig = Rig(stumbling(*[ValueError()] * (loop.TRIES - 1)))

    await rig.feed(rig.message(received(NAMES, 0, 0), 0))

    assert rig.publisher.on(NAMES.inbox.dlq) == []
    assert state_of(rig.table.entry(KEY)).seen == ("wamid.0.0",)


async def test_a_dependency_that_is_down_is_waited_for_however_often_it_fails() -> None:
    reasons: list[str | None] = []
    rig = Rig(stumbling())
    left = [DOWN] * (loop.TRIES * 4)

    async def agent(state: Tally | None, event: Event, delivery: Delivery) -> Decided:
        reasons.append(rig.dependencies.why())
        if left:
            raise left.pop()
        return await TOYS.talk(state, event, delivery)

    object.__setattr__(rig.stage, "agent", agent)

    await rig.feed(rig.message(received(NAMES, 0, 0), 0))

    assert reasons[0] is None
    assert reasons[-1] == "waiting for postgres"
    assert rig.dependencies.why() is None
    assert rig.publisher.on(NAMES.inbox.dlq) == []
    assert state_of(rig.table.entry(KEY)).seen == ("wamid.0.0",)


async def test_one_conversation_that_waits_holds_no_other_back() -> None:
    release = asyncio.Event()

    async def agent(state: Tally | None, event: Event, delivery: Delivery) -> Decided:
        if event.conversation_id == "conv_0" and not release.is_set():
            raise DOWN
        return await TOYS.talk(state, event, delivery)

    rig = Rig(agent)
    assert rig.lanes.take(rig.message(received(NAMES, 0, 0), 0))
    assert rig.lanes.take(rig.message(received(NAMES, 1, 0), 1))
    await until(lambda: rig.table.raw(b"conv_1") is not None, "the other conversation")
    assert rig.table.raw(KEY) is None

    release.set()
    await rig.idle()
    assert rig.table.raw(KEY) is not None


async def test_a_kafka_that_refuses_the_changelog_settles_nothing_until_it_takes_it() -> None:
    rig = Rig(TOYS.talk)
    rig.publisher.refuse = failing(*[Unavailable("kafka")] * 9)

    await rig.feed(rig.message(received(NAMES, 0, 0), 0))

    assert [record.topic for record, _ in rig.publisher.posted] == ["changelog", NAMES.asked.name]
    assert len(rig.app.consumer.settled) == 1


POISON = {
    "bad_magic": (KEY, b"\x01junk"),
    "null_value": (KEY, None),
    "truncated": (KEY, b'\x00\x00["MessageReceived",{'),
    "unknown_schema": (KEY, b"\x00\x63rest"),
    "null_key": (None, b"\x00\x00[]"),
    "reserved_key": (OWNER_KEY, b"\x00\x00[]"),
    "wrong_key": (b"conv_9", JsonCodec().encode(received(NAMES, 0, 0))),
    "wrong_topic": (
        KEY,
        JsonCodec().encode(replace(received(NAMES, 0, 0), event=NAMES.said.name)),
    ),
}


@pytest.mark.parametrize("reason", POISON)
async def test_poison_becomes_one_dead_letter_byte_for_byte(reason: str) -> None:
    key, value = POISON[reason]
    headers = (("traceparent", b"00-a-b-01"), ("dlq.error.type", b"earlier"))
    poison = FakeMessage(NAMES.inbox.name, 1, key, value, headers=headers)
    rig = Rig(TOYS.talk)

    await rig.feed(
        rig.message(received(NAMES, 0, 0), 0), poison, rig.message(received(NAMES, 0, 1), 2)
    )

    (letter,) = rig.publisher.on(NAMES.inbox.dlq)
    assert (letter.key, letter.value) == (key, value)
    assert dict(letter.headers)["dlq.error.type"] == reason.encode()
    assert dict(letter.headers)["traceparent"] == b"00-a-b-01"
    assert state_of(rig.table.entry(KEY)).seen == ("wamid.0.0", "wamid.0.1")
    assert {m.offset for m in rig.app.consumer.settled} == {0, 1, 2}
    assert rig.loop.fuse.burnt == 0


@pytest.mark.parametrize(
    ("reason", "key", "value"),
    [
        ("bad_magic", KEY, b"x" * (MAX_RECORD_BYTES + 1)),
        ("large_key", b"x" * (MAX_RECORD_BYTES + 1), b"\x00\x00[]"),
    ],
)
async def test_a_record_that_no_letter_could_hold_keeps_nobody_waiting(
    reason: str, key: bytes, value: bytes
) -> None:
    rig = Rig(TOYS.talk)
    rig.publisher.refuse = too_large

    await rig.feed(FakeMessage(NAMES.inbox.name, 0, key, value))
    await rig.feed(rig.message(received(NAMES, 0, 0), 1))

    (letter,) = rig.publisher.on(NAMES.inbox.dlq)
    assert dict(letter.headers)["dlq.error.type"] == reason.encode()
    assert {m.offset for m in rig.app.consumer.settled} == {0, 1}
    assert state_of(rig.table.entry(KEY)).seen == ("wamid.0.0",)


async def test_a_key_of_another_partition_is_a_dead_letter_and_no_state() -> None:
    rig = Rig(TOYS.talk)
    rig.app.partitions = 64
    message = rig.message(received(NAMES, 0, 0), 0, partition=63)

    await rig.feed(message)

    (letter,) = rig.publisher.on(NAMES.inbox.dlq)
    assert dict(letter.headers)["dlq.error.type"] == b"misplaced_key"
    assert rig.table.raw(KEY) is None


async def test_a_known_key_on_another_partition_is_a_dead_letter_whatever_its_offset() -> None:
    """Offsets of two partitions have nothing to do with each other: it was not applied before."""
    rig = Rig(TOYS.talk)
    rig.app.partitions = 2
    here, there = (
        next(n for n in range(9) if home(f"conv_{n}".encode(), 2) == place) for place in (0, 1)
    )
    await rig.feed(
        rig.message(received(NAMES, here, 0), 7),
        rig.message(received(NAMES, there, 0), 7, partition=1),
    )

    await rig.feed(rig.message(received(NAMES, here, 1), 3, partition=1))

    (letter,) = rig.publisher.on(NAMES.inbox.dlq)
    assert dict(letter.headers)["dlq.error.type"] == b"misplaced_key"


async def test_a_new_schema_is_learned_and_a_registry_that_is_down_is_waited_for() -> None:
    rig = Rig(TOYS.talk)
    rig.codec.registry_down = 3
    message = rig.message(received(NAMES, 0, 0), 0)
    assert message.value is not None
    message.value = b"\x00\x07" + message.value[2:]

    await rig.feed(message)

    assert state_of(rig.table.entry(KEY)).seen == ("wamid.0.0",)
    assert rig.publisher.on(NAMES.inbox.dlq) == []


async def test_a_state_over_its_limit_parks_the_event_and_stays_as_it_was() -> None:
    async def agent(state: Tally | None, event: Event, delivery: Delivery) -> Decided:
        after, events = await TOYS.talk(state, event, delivery)
        grown = "x" * STATE_BYTES if state is not None else ""
        return replace(after, digest=after.digest + grown), events

    rig = Rig(agent)
    await rig.feed(rig.message(received(NAMES, 0, 0), 0))
    small = rig.table.entry(KEY).state

    await rig.feed(rig.message(received(NAMES, 0, 1), 1))

    assert rig.table.entry(KEY).state == small
    (letter,) = rig.publisher.on(NAMES.inbox.dlq)
    assert dict(letter.headers)["dlq.error.type"] == b"state_too_large"


async def test_too_many_given_up_in_a_row_stop_the_worker_before_the_last_is_lost() -> None:
    rig = Rig(stumbling(*[Rejected("no_good")] * 1000))

    for number in range(FUSE):
        assert rig.lanes.take(rig.message(received(NAMES, number, 0), number))
    await rig.idle()

    assert isinstance(rig.app.crashed, FuseBlown)
    assert len(rig.app.consumer.settled) == FUSE - 1


async def test_a_success_mends_the_fuse() -> None:
    async def agent(state: Tally | None, event: Event, delivery: Delivery) -> Decided:
        if event.conversation_id != "conv_0":
            raise REJECTED
        return await TOYS.talk(state, event, delivery)

    rig = Rig(agent)
    for number in range(FUSE * 2):
        await rig.feed(rig.message(received(NAMES, number % 2, number), number))

    assert rig.app.crashed is None


async def test_nothing_is_written_for_a_partition_that_has_another_owner() -> None:
    async def agent(state: Tally | None, event: Event, delivery: Delivery) -> Decided:
        rig.app.consumer_generation_id += 1  # a rebalance while the agent was busy
        return await TOYS.talk(state, event, delivery)

    rig = Rig(agent)

    await rig.feed(rig.message(received(NAMES, 0, 0), 0))

    assert rig.publisher.posted == []
    assert rig.app.consumer.settled == []


async def test_effects_are_left_to_the_owner_that_finds_them_in_the_state() -> None:
    rig = Rig(TOYS.talk)

    def rebalanced(record: Record) -> None:
        rig.app.consumer_generation_id += record.topic == "changelog"

    rig.publisher.refuse = rebalanced

    await rig.feed(rig.message(received(NAMES, 0, 0), 0))

    assert [record.topic for record, _ in rig.publisher.posted] == ["changelog"]
    assert len(rig.table.entry(KEY).outbox) == 1
    assert rig.app.consumer.settled == []


async def test_a_rebalance_while_membership_is_proved_lets_nothing_be_written() -> None:
    rig = Rig(TOYS.talk)
    rig.pulse.limit_s = 5.0
    rig.pulse.beat -= 60

    async def prove() -> bool:
        rig.app.consumer_generation_id += 1  # proved as a member, but of another generation
        return True

    rig.pulse.prove = prove

    await rig.feed(rig.message(received(NAMES, 0, 0), 0))

    assert rig.publisher.posted == []
    assert rig.app.consumer.settled == []


async def test_after_a_freeze_nothing_is_written_until_membership_is_proved() -> None:
    rig = Rig(TOYS.talk)
    rig.pulse.limit_s = 5.0
    rig.pulse.beat -= 60
    answers, posted = [False, False, True], []

    async def prove() -> bool:
        posted.append(len(rig.publisher.posted))
        return answers.pop(0)

    rig.pulse.prove = prove

    await rig.feed(rig.message(received(NAMES, 0, 0), 0))

    assert posted == [0, 0, 0]
    assert len(rig.app.consumer.settled) == 1


async def test_a_dead_letter_that_is_refused_is_not_lost() -> None:
    rig = Rig(stumbling(REJECTED))
    refusals = [Rejected("record_too_large")] * 3
    rig.publisher.refuse = failing(*refusals)

    await rig.feed(rig.message(received(NAMES, 0, 0), 0))

    assert len(rig.publisher.on(NAMES.inbox.dlq)) == 1
    assert len(rig.app.consumer.settled) == 1


async def test_a_large_dead_letter_is_published_but_not_kept_in_the_table() -> None:
    rig = Rig(stumbling(REJECTED))
    big = rig.message(received(NAMES, 0, 0, text="x" * (LETTER_BYTES + 1)), 0)

    await rig.feed(big)

    (letter,) = rig.publisher.on(NAMES.inbox.dlq)
    assert letter.value == big.value
    assert rig.table.entry(KEY).outbox == ()


async def test_a_burnt_fuse_outlives_a_restart_and_stops_at_the_first_failure() -> None:
    rig = Rig(stumbling(*[REJECTED] * (FUSE - 1)))
    for number in range(FUSE - 1):
        await rig.feed(rig.message(received(NAMES, number, 0), number))
    changelog = [
        (r.key, r.value, p or 0) for r, p in rig.publisher.posted if r.topic == "changelog"
    ]

    again = Rig(stumbling(REJECTED))
    again.table.apply(changelog)
    await again.feed(again.message(received(NAMES, 99, 0), 99))

    assert isinstance(again.app.crashed, FuseBlown)
    assert again.publisher.posted == []
    assert again.app.consumer.settled == []


async def test_a_success_after_a_restart_sets_the_fuse_back_for_good() -> None:
    rig = Rig(stumbling(REJECTED, REJECTED))
    for number in range(3):
        await rig.feed(rig.message(received(NAMES, number, 0), number))
    changelog = [
        (r.key, r.value, p or 0) for r, p in rig.publisher.posted if r.topic == "changelog"
    ]

    again = Rig(stumbling())
    again.table.apply(changelog)

    assert rig.loop.fuse.burnt == 0
    assert again.loop.fuse.burnt == 0


async def test_a_zombies_count_of_failures_is_ignored() -> None:
    rig = Rig(stumbling())
    rig.table.apply(
        [
            (OWNER_KEY, Owner(epoch=2).dumps(), 0),
            (FUSE_KEY, Burnt(epoch=2, given_up=3).dumps(), 0),
            (FUSE_KEY, Burnt(epoch=1, given_up=24).dumps(), 0),
        ]
    )

    assert rig.loop.fuse.burnt == 3
