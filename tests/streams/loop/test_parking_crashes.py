"""Parking, redriving and resting on the real loop, with crashes at every write."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import MessageReceived
from streams.state.controls import CONTROL
from tests.streams.loop.crashes import TOPICS, World
from tests.streams.loop.toy import JsonCodec

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from(TOPICS), st.booleans()),
        st.tuples(
            st.just("consume"),
            st.sampled_from(TOPICS),
            st.none() | st.integers(0, 4),
            st.booleans(),
        ),
        st.tuples(st.just("rest"), st.none() | st.integers(0, 1), st.booleans()),
        st.tuples(st.just("commit")),
        st.tuples(st.just("mend")),
        st.tuples(st.just("redrive"), st.integers(1, 4), st.booleans()),
    ),
    max_size=40,
)


async def run(world: World, steps: Iterable[tuple[Any, ...]]) -> list[str]:
    """Play the steps to their end; return what was decided."""
    for name, *details in steps:
        match name:
            case "send":
                world.send(details[0], bad=details[1])
            case "consume":
                await world.consume(details[0], details[1], after=details[2])
            case "rest":
                await world.rest(details[0], after=details[1])
            case "commit":
                world.commit()
            case "mend":
                world.bad.clear()
            case _:
                await world.redrive(details[0], from_first=details[1])
    await world.to_the_end()
    return await world.decided()


@settings(deadline=None, max_examples=300)
@given(STEPS)
def test_whoever_crashes_rests_or_comes_back_each_event_is_decided_once_in_order(
    steps: list[tuple[Any, ...]],
) -> None:
    world = World()

    decided = asyncio.run(run(world, steps))

    assert sorted(decided) == sorted(world.sent)
    for topic in TOPICS:
        events = [JsonCodec().decode(message.value) for message in world.broker.logs[topic]]
        sent = dict.fromkeys(e.wamid for e in events if isinstance(e, MessageReceived))
        assert [wamid for wamid in decided if wamid in sent] == list(sent)
    assert world.asked() == decided
    numbered = Counter(
        (letter.parking_id, letter.number) for letter in world.broker.letters() if letter.number
    )
    assert set(numbered.values()) <= {1}
    assert all(not record.key.startswith(CONTROL) for record in world.broker.written
               if record.key and record.topic != "changelog")  # fmt: skip
