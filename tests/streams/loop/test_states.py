"""States that are remembered: the same object while the table has the same bytes, else anew."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.errors import Unavailable
from schemas.events import Event
from streams.state.records import Entry, Kept
from streams.state.states import States
from tests.streams.loop.fakes import NAMES, Rig, failing
from tests.streams.loop.toy import Tally, received

KEY = b"conv_0"


def tally(seq: int) -> Tally:
    return Tally("acme", "conv_0", "cust_0", seq=seq)


def stored(state: Tally) -> Kept:
    return Entry(msgspec.json.encode(state), {}).kept()


def handed_on(states: States, key: bytes, raw: bytes) -> Any:
    """Return the state that an event of the key is decided from, when the table has these bytes."""
    return states.of(key, states.kept(key, raw))


def test_a_remembered_value_is_handed_on_as_it_is() -> None:
    states, value, state = States(Tally), stored(tally(1)), tally(1)
    states.remember(KEY, value, state)

    assert states.kept(KEY, value.raw) is value
    assert handed_on(states, KEY, value.raw) is state


def test_other_bytes_than_the_remembered_ones_are_read() -> None:
    states, newer, older = States(Tally), stored(tally(2)), stored(tally(1))
    states.remember(KEY, newer, tally(2))

    assert states.kept(KEY, older.raw).raw == older.raw
    assert handed_on(states, KEY, older.raw) == tally(1)
    assert handed_on(states, b"conv_1", newer.raw) == tally(2)


def test_no_value_and_an_empty_state_are_no_state() -> None:
    states = States(Tally)
    states.remember(KEY, stored(tally(1)), tally(1))

    assert states.of(KEY, None) is None
    assert states.of(KEY, Entry(b"", {}).kept()) is None


def test_a_value_whose_state_is_not_known_as_an_object_is_not_remembered() -> None:
    states, value = States(Tally), stored(tally(1))
    states.remember(KEY, value, None)

    assert handed_on(states, KEY, value.raw) == tally(1)


def test_the_oldest_values_are_forgotten_when_they_are_too_many() -> None:
    values = [stored(tally(seq)) for seq in range(4)]
    states = States(Tally, most=2 * len(values[0].raw))
    keys = [b"a", b"b", b"a", b"c"]
    remembered = [tally(seq) for seq in range(4)]
    for key, value, state in zip(keys, values, remembered, strict=True):
        states.remember(key, value, state)

    found = {
        key: handed_on(states, key, values[n].raw) is remembered[n] for n, key in enumerate(keys)
    }

    assert found == {b"a": True, b"b": False, b"c": True}


async def test_a_state_that_was_not_stored_is_not_decided_from() -> None:
    heard: list[Tally | None] = []

    async def agent(
        state: Tally | None, _event: Event, _: object
    ) -> tuple[Tally, tuple[Event, ...]]:
        heard.append(state)
        return tally((state.seq if state else 0) + 1), ()

    rig = Rig(agent)
    first, second = (received(NAMES, 0, number) for number in range(2))
    await rig.feed(rig.message(first, 0))
    rig.publisher.refuse = failing(Unavailable("kafka"))

    await rig.feed(rig.message(second, 1))

    assert heard == [None, tally(1), tally(1)]
