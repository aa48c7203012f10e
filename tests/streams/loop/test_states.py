"""States that are remembered: the same object while the table has the same bytes, else anew."""

from __future__ import annotations

import msgspec

from schemas.errors import Unavailable
from schemas.events import Event
from streams.records import Entry, Kept
from streams.states import States
from tests.streams.loop.fakes import NAMES, Rig, failing
from tests.streams.loop.toy import Tally, received

KEY = b"conv_0"


def tally(seq: int) -> Tally:
    return Tally("acme", "conv_0", "cust_0", seq=seq)


def kept(state: bytes) -> Kept:
    return Kept(Entry(state, {}).dumps())


def test_a_remembered_state_is_handed_on_as_it_is() -> None:
    states, state = States(Tally), tally(1)
    states.remember(KEY, msgspec.json.encode(state), state)

    assert states.of(KEY, kept(msgspec.json.encode(state))) is state


def test_other_bytes_than_the_remembered_ones_are_read() -> None:
    states = States(Tally)
    states.remember(KEY, msgspec.json.encode(tally(2)), tally(2))

    assert states.of(KEY, kept(msgspec.json.encode(tally(1)))) == tally(1)
    assert states.of(b"conv_1", kept(msgspec.json.encode(tally(2)))) == tally(2)


def test_no_value_and_an_empty_state_are_no_state() -> None:
    states = States(Tally)
    states.remember(KEY, msgspec.json.encode(tally(1)), tally(1))

    assert states.of(KEY, None) is None
    assert states.of(KEY, kept(b"")) is None


def test_the_oldest_states_are_forgotten_when_they_are_too_many() -> None:
    raws = [msgspec.json.encode(tally(seq)) for seq in range(4)]
    states = States(Tally, most=2 * len(raws[0]))
    keys = [b"a", b"b", b"a", b"c"]
    remembered = [tally(seq) for seq in range(4)]
    for key, raw, state in zip(keys, raws, remembered, strict=True):
        states.remember(key, raw, state)

    found = {key: states.of(key, kept(raws[n])) is remembered[n] for n, key in enumerate(keys)}

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
