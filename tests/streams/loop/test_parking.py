"""A parked conversation, with everything around the loop faked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from msgspec import structs

from agents.core.person_call import call_person
from agents.ports import Delivery
from schemas.changing import replace
from schemas.errors import Rejected
from schemas.events import Event, MessageReceived
from schemas.topics import CONTROL_REQUESTED
from streams.deadletters.dlq import Verdict, dead_letter
from streams.deadletters.fuse import FUSE
from streams.kafka.publish import Record
from streams.processor import loop
from streams.processor.deciding import EFFECT_BYTES, original
from streams.state.records import STATE_BYTES
from tests.streams.loop.fakes import NAMES, FakeMessage, Rig
from tests.streams.loop.toy import JsonCodec, Tally, Toys, received, step

Decided = tuple[Tally, tuple[Event, ...]]
Agent = Callable[[Any, Event, Delivery], Awaitable[Decided]]
TOYS = Toys(NAMES)
KEY = b"conv_0"
INBOX = NAMES.inbox.name
DLQ = NAMES.inbox.dlq


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BACKOFF_S", "LONGEST_BACKOFF_S", "WAIT_S", "LONGEST_WAIT_S"):
        monkeypatch.setattr(loop, name, 0.001)


class Faulty:
    """An agent that cannot decide some messages until it is mended."""

    def __init__(self, *wamids: str) -> None:
        self.bad = set(wamids)

    async def __call__(self, state: Tally | None, event: Event, delivery: Delivery) -> Decided:
        if isinstance(event, MessageReceived) and event.wamid in self.bad:
            raise Rejected("no_good")
        return await TOYS.talk(state, event, delivery)


async def parked(state: Tally | None, event: Event, delivery: Delivery, reason: str) -> Decided:
    assert delivery.now_ms
    said = replace(received(NAMES, 0, 99), event=NAMES.said.name, text=reason)
    return step(state, event, f"parked:{reason}"), (said,)


def rig_of(agent: Agent, **more: Any) -> Rig:
    return Rig(agent, parks=True, **more)


def seen(rig: Rig, key: bytes = KEY) -> tuple[str, ...]:
    return msgspec.json.decode(rig.table.entry(key).state, type=Tally).seen


def told(letter: Record) -> dict[str, str]:
    return {name: value.decode() for name, value in letter.headers if name.startswith("dlq.")}


def returned(letter: Record, offset: int, **headers: str) -> FakeMessage:
    """A dead letter as it is written back to its topic."""
    more = tuple((f"dlq.{name}", value.encode()) for name, value in headers.items())
    topic = letter.topic.removesuffix(".dlq")
    return FakeMessage(topic, offset, letter.key, letter.value, headers=(*letter.headers, *more))


async def park(rig: Rig, *numbers: int) -> list[Record]:
    """Feed messages of one conversation; return the letters that they became."""
    await rig.feed(*(rig.message(received(NAMES, 0, number), number) for number in numbers))
    return rig.publisher.on(DLQ)


async def test_what_follows_a_failed_event_is_set_aside_in_order_and_others_flow() -> None:
    rig = rig_of(Faulty("wamid.0.1"))

    letters = await park(rig, 0, 1, 2, 3)
    await rig.feed(rig.message(received(NAMES, 1, 0), 4))

    assert [
        (told(each)["dlq.sequence"], told(each)["dlq.error.type"], told(each)["dlq.attempts"])
        for each in letters
    ] == [("1", "no_good", "1"), ("2", "behind_parked", "0"), ("3", "behind_parked", "0")]
    assert {told(each)["dlq.parking"] for each in letters} == {f"{INBOX}/0/1"}
    assert {told(each)["dlq.stage"] for each in letters} == {"unit"}
    assert seen(rig) == ("wamid.0.0",)
    assert seen(rig, b"conv_1") == ("wamid.1.0",)
    assert len(rig.app.consumer.settled) == 5


async def test_what_comes_back_is_decided_in_order_and_the_last_one_ends_the_parking() -> None:
    agent = Faulty("wamid.0.0")
    rig = rig_of(agent)
    letters = await park(rig, 0, 1, 2)
    agent.bad.clear()

    await rig.feed(*(returned(letter, 10 + n) for n, letter in enumerate(letters)))
    await rig.feed(rig.message(received(NAMES, 0, 3), 20))

    assert seen(rig) == ("wamid.0.0", "wamid.0.1", "wamid.0.2", "wamid.0.3")
    assert rig.table.entry(KEY).parked is None
    assert rig.publisher.on(DLQ) == letters
    assert len(rig.publisher.on(NAMES.asked.name)) == 4


async def test_what_arrives_while_others_come_back_stays_behind_them() -> None:
    agent = Faulty("wamid.0.0")
    rig = rig_of(agent)
    first, second = await park(rig, 0, 1)
    agent.bad.clear()

    await rig.feed(returned(first, 10), rig.message(received(NAMES, 0, 2), 11))
    await rig.feed(returned(second, 12))
    still = rig.table.entry(KEY).parked
    third = rig.publisher.on(DLQ)[-1]
    await rig.feed(returned(third, 13))

    assert still is not None
    assert (still.next, still.last) == (3, 3)
    assert told(third)["dlq.sequence"] == "3"
    assert seen(rig) == ("wamid.0.0", "wamid.0.1", "wamid.0.2")
    assert rig.table.entry(KEY).parked is None


async def test_a_second_copy_of_what_came_back_is_ignored_during_and_after_the_parking() -> None:
    agent = Faulty("wamid.0.0")
    rig = rig_of(agent)
    first, second = await park(rig, 0, 1)
    agent.bad.clear()

    await rig.feed(returned(first, 10), returned(first, 11), returned(second, 12))
    await rig.feed(returned(first, 13), returned(second, 14))

    assert seen(rig) == ("wamid.0.0", "wamid.0.1")
    assert len(rig.publisher.on(NAMES.asked.name)) == 2
    assert len(rig.app.consumer.settled) == 7


async def test_a_number_that_comes_back_before_its_turn_is_not_decided() -> None:
    agent = Faulty("wamid.0.0")
    rig = rig_of(agent)
    _, second = await park(rig, 0, 1)
    agent.bad.clear()

    await rig.feed(returned(second, 10))

    assert rig.publisher.on(NAMES.asked.name) == []
    assert rig.table.entry(KEY).parked is not None


async def test_an_event_that_fails_again_stays_the_same_letter_and_holds_back_the_rest() -> None:
    rig = rig_of(Faulty("wamid.0.0"))
    first, second = await park(rig, 0, 1)

    await rig.feed(returned(first, 10), returned(second, 11))

    again = rig.publisher.on(DLQ)[-1]
    assert len(rig.publisher.on(DLQ)) == 3
    for name in ("parking", "sequence", "original.offset", "first_failed_at"):
        assert told(again)[f"dlq.{name}"] == told(first)[f"dlq.{name}"]
    flag = rig.table.entry(KEY).parked
    assert flag is not None
    assert (flag.next, flag.last, flag.failures) == (1, 2, 2)
    assert rig.publisher.on(NAMES.asked.name) == []


async def test_what_fails_again_does_not_burn_the_fuse_any_further() -> None:
    rig = rig_of(Faulty("wamid.0.0"))
    (letter,) = await park(rig, 0)

    await rig.feed(*(returned(letter, 10 + number) for number in range(FUSE)))

    assert rig.loop.fuse.burnt == 1
    assert rig.app.crashed is None


async def test_a_later_parking_takes_nothing_that_belongs_to_an_earlier_one() -> None:
    agent = Faulty("wamid.0.0")
    rig = rig_of(agent)
    (earlier,) = await park(rig, 0)
    agent.bad = {"wamid.0.5"}
    await rig.feed(returned(earlier, 10))
    await rig.feed(rig.message(received(NAMES, 0, 5), 15))

    await rig.feed(returned(earlier, 20))

    flag = rig.table.entry(KEY).parked
    assert flag is not None
    assert (flag.parking_id, flag.next) == (f"{INBOX}/0/15", 1)
    assert seen(rig) == ("wamid.0.0",)


async def test_a_redelivery_after_a_crash_publishes_the_letter_again_under_its_number() -> None:
    rig = rig_of(Faulty("wamid.0.0"))
    letters = await park(rig, 0, 1)

    await park(rig, 1)

    assert rig.publisher.on(DLQ) == [*letters, letters[1]]
    flag = rig.table.entry(KEY).parked
    assert flag is not None
    assert flag.last == 2


async def test_a_large_event_keeps_its_one_number_in_the_table() -> None:
    rig = rig_of(Faulty("wamid.0.0"))
    big = received(NAMES, 0, 1, text="x" * EFFECT_BYTES)

    await rig.feed(rig.message(received(NAMES, 0, 0), 0), rig.message(big, 1))

    assert [record.topic for record in rig.table.entry(KEY).outbox] == [DLQ]


async def test_no_timer_fires_while_a_conversation_is_parked() -> None:
    toys = Toys(NAMES, timer_ms=5000)
    bad = {"wamid.0.1"}

    async def agent(state: Tally | None, event: Event, delivery: Delivery) -> Decided:
        if isinstance(event, MessageReceived) and event.wamid in bad:
            raise Rejected("no_good")
        return await toys.talk(state, event, delivery)

    rig = rig_of(agent)
    (letter,) = await park(rig, 0, 1)
    while_parked = rig.table.entry(KEY).due_ms
    bad.clear()
    await rig.feed(returned(letter, 10))

    assert while_parked is None
    assert rig.table.entry(KEY).due_ms == rig.clock.ms + 5000


async def test_a_dropped_event_is_not_decided_and_the_rest_goes_on() -> None:
    rig = rig_of(Faulty("wamid.0.0"))
    first, second = await park(rig, 0, 1)

    await rig.feed(returned(first, 10, drop="1"), returned(second, 11))

    assert seen(rig) == ("wamid.0.1",)
    assert rig.table.entry(KEY).parked is None


async def test_a_lost_event_can_be_dropped_without_its_bytes() -> None:
    rig = rig_of(Faulty("wamid.0.0"), parked=parked)
    (letter,) = await park(rig, 0)

    await rig.feed(returned(structs.replace(letter, value=None), 10, drop="1"))

    assert rig.table.entry(KEY).parked is None
    assert rig.publisher.on(DLQ) == [letter]


async def test_the_stage_speaks_of_the_failed_event_once_and_of_those_behind_in_its_own_words() -> (
    None
):
    rig = rig_of(Faulty("wamid.0.0"), parked=parked, behind=parked)

    await park(rig, 0, 1)

    assert seen(rig) == ("parked:no_good", "parked:behind_parked")
    assert [record.topic for record, _ in rig.publisher.posted if record.topic != "changelog"] == [
        *(DLQ, NAMES.said.name),
        *(DLQ, NAMES.said.name),
    ]


async def test_a_bad_record_behind_a_parked_event_is_buried_alone() -> None:
    rig = rig_of(Faulty("wamid.0.0"))
    await park(rig, 0)

    await rig.feed(FakeMessage(INBOX, 1, KEY, b"\x01junk"))

    letter = rig.publisher.on(DLQ)[-1]
    assert told(letter)["dlq.error.type"] == "bad_magic"
    assert "dlq.sequence" not in told(letter)
    flag = rig.table.entry(KEY).parked
    assert flag is not None
    assert flag.last == 1


async def test_a_state_that_cannot_be_read_is_parked_as_it_is_and_a_person_is_called() -> None:
    rig = Rig(TOYS.talk, parked=parked)  # a stage that closes what it can
    await rig.feed(rig.message(received(NAMES, 0, 0), 0))
    good = rig.table.entry(KEY)
    torn = structs.replace(good, state=good.state[:-9])
    rig.table.apply([(KEY, torn.dumps(), 0)])

    await park(rig, 1, 2)
    broken = rig.table.entry(KEY)
    letters = rig.publisher.on(DLQ)
    mended = structs.replace(broken, state=good.state)  # the code is right now
    rig.table.apply([(KEY, mended.dumps(), 0)])
    await rig.feed(*(returned(letter, 10 + n) for n, letter in enumerate(letters)))

    (call,) = rig.publisher.on(CONTROL_REQUESTED.name)
    asked = JsonCodec().encode(
        call_person(
            received(NAMES, 0, 1), stage="unit", parking_id=f"{INBOX}/0/1", now_ms=rig.clock.ms
        )
    )
    assert (call.key, call.value) == (KEY, asked)
    assert broken.state == torn.state
    assert broken.parked is not None
    assert broken.parked.reason == "bug"
    assert seen(rig) == ("wamid.0.0", "wamid.0.1", "wamid.0.2")


async def test_of_a_state_that_cannot_be_read_the_stage_speaks_outside_its_numbers() -> None:
    rig = rig_of(TOYS.talk, parked=parked, behind=parked)
    await rig.feed(rig.message(received(NAMES, 0, 0), 0))
    good = rig.table.entry(KEY)
    rig.table.apply([(KEY, structs.replace(good, state=b"{").dumps(), 0)])

    await park(rig, 1, 2)

    reasons = [JsonCodec().decode(record.value) for record in rig.publisher.on(NAMES.said.name)]
    assert [e.text for e in reasons if isinstance(e, MessageReceived)] == ["bug", "behind_parked"]
    assert rig.table.entry(KEY).state == b"{"


async def test_a_closing_state_over_its_limit_parks_with_the_state_as_it_was() -> None:
    async def grown(state: Tally | None, event: Event, delivery: Delivery, reason: str) -> Decided:
        after, events = await parked(state, event, delivery, reason)
        return replace(after, digest="x" * STATE_BYTES), events

    rig = Rig(Faulty("wamid.0.1"), parked=grown)

    await park(rig, 0, 1)

    entry = rig.table.entry(KEY)
    assert entry.parked is not None
    assert seen(rig) == ("wamid.0.0",)


async def test_a_stage_that_can_close_the_one_thing_goes_on_with_the_next() -> None:
    rig = Rig(Faulty("wamid.0.0"), parked=parked)

    (letter,) = await park(rig, 0, 1)

    assert "dlq.sequence" not in told(letter)
    assert seen(rig) == ("parked:no_good", "wamid.0.1")
    assert rig.table.entry(KEY).parked is None


async def test_an_event_too_large_to_be_said_is_refused_with_its_size() -> None:
    async def agent(state: Tally | None, event: Event, _: Delivery) -> Decided:
        said = replace(received(NAMES, 0, 9), event=NAMES.said.name, text="x" * EFFECT_BYTES)
        return step(state, event, "large"), (said,)

    rig = rig_of(agent)

    (letter,) = await park(rig, 0)

    assert told(letter)["dlq.error.type"] == "effect_too_large"
    assert f"at most {EFFECT_BYTES}" in told(letter)["dlq.error.message"]


async def test_the_table_counts_its_parked_conversations() -> None:
    agent = Faulty("wamid.0.0", "wamid.1.0")
    rig = rig_of(agent)
    letters = await park(rig, 0)
    await rig.feed(rig.message(received(NAMES, 1, 0), 1))
    both = set(rig.table.parked)
    agent.bad.clear()
    await rig.feed(returned(letters[0], 10))

    assert both == {KEY, b"conv_1"}
    assert set(rig.table.parked) == {b"conv_1"}


async def test_an_event_of_another_company_behind_a_parked_one_is_given_up_alone() -> None:
    rig = rig_of(Faulty("wamid.0.0"), parked=parked, behind=parked)
    await park(rig, 0)
    before = rig.table.entry(KEY)

    stranger = replace(received(NAMES, 0, 1), tenant_id="somebody_else")
    await rig.feed(rig.message(stranger, 1))

    _, letter = rig.publisher.on(DLQ)
    assert (told(letter)["dlq.error.type"], "dlq.sequence" in told(letter)) == (
        "wrong_conversation",
        False,
    )
    after = rig.table.entry(KEY)
    assert (after.state, after.parked) == (before.state, before.parked)


async def test_what_a_sink_gave_up_comes_back_for_that_sink_alone() -> None:
    """The stage decided it when it came; days later it would take it for another message."""
    rig = rig_of(TOYS.talk)
    came = rig.message(received(NAMES, 0, 1), 1)
    verdict = Verdict(reason="bug", group="g", stage="transcripts", first_failed_at_ms=1)
    letter = dead_letter(original(came), verdict)
    await rig.feed(rig.message(received(NAMES, 0, 0), 0))

    await rig.feed(returned(letter, 10))

    assert seen(rig) == ("wamid.0.0",)
    assert [message.offset for message in rig.app.consumer.settled] == [0, 10]


async def test_what_the_stage_gave_up_alone_is_decided_when_it_comes_back() -> None:
    rig = rig_of(TOYS.talk)
    came = rig.message(received(NAMES, 0, 1), 1)
    verdict = Verdict(reason="unknown_schema", group="g", stage="unit", first_failed_at_ms=1)

    await rig.feed(returned(dead_letter(original(came), verdict), 10))

    assert seen(rig) == ("wamid.0.1",)
