"""A step is written down with what it heard, and now and then with its state."""

from __future__ import annotations

from typing import Any, cast

from agents.ports import Delivery
from schemas.changing import replace
from schemas.events import Cause, Event, Position, StepTaken
from schemas.topics import MESSAGE_RECEIVED, STEP_TAKEN
from streams.local.bench.work import Seen, event
from streams.processor.hearing import Hearing
from streams.processor.stage import Stage
from streams.processor.steps import STATE_EVERY, Applied, written_down

VERSION = 2


class FakeDelivery:
    source = Position(topic=MESSAGE_RECEIVED.name, partition=0, offset=7)
    now_ms = 1000


async def _silent(state: Any, _: Event, __: Delivery) -> tuple[Any, tuple[Event, ...]]:
    return state, ()


def written(seq: int, *versions: int) -> tuple[Event, ...]:
    """Write down step ``seq``, which says one event and has looked at these settings."""
    stage = Stage(
        name="toy", inputs=(MESSAGE_RECEIVED,), state=Seen, agent=_silent, noted=STEP_TAKEN
    )
    cause = Cause(
        topic=MESSAGE_RECEIVED.name,
        partition=0,
        offset=7,
        seq=seq,
        decided_at=1000,
        settings_version=VERSION,
    )
    said = replace(event(MESSAGE_RECEIVED.name, 1), cause=cause)
    hearing = Hearing()
    hearing.versions += versions
    applied = Applied(stage, said, cast(Delivery, FakeDelivery()), hearing)
    return written_down(applied, Seen("t", "conv_1", "cust_1", seq=seq), b"{}", (said,))


def heard(events: tuple[Event, ...]) -> tuple[str, ...]:
    cause = events[-1].cause
    assert cause is not None
    return cause.heard


def test_a_step_that_heard_nothing_is_told_by_what_it_says() -> None:
    (said,) = written(1)

    assert heard((said,)) == ()


def test_settings_that_no_record_names_are_written_down_with_the_step() -> None:
    assert heard(written(1, VERSION)) == ()
    assert heard(written(1, VERSION + 1)) == ('["tenants.get","",3,""]',)


def test_every_so_many_steps_the_state_is_written_down_too() -> None:
    *_, noted = written(STATE_EVERY)

    assert isinstance(noted, StepTaken)
    assert noted.state == "{}"
