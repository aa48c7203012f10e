from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.changing import replace
from schemas.events import (
    BubbleState,
    ConversationChanged,
    HandoffRequested,
    MessageReceived,
    OutboundRequested,
    OutboundSettled,
    Outcome,
    OutcomeKind,
)
from streams.local.load.checker import RULES
from streams.local.load.figures import overheads, percentile
from streams.local.load.history import Accepted, history, unfinished
from tests.local.loads import World


@pytest.fixture
def world() -> World:
    world = World()
    for customer in ("5500001", "5500002"):
        first = world.message(customer, 1, 1000)
        second = world.message(customer, 2, 1100)
        world.turn(customer, 1, 2602, first, second)
        third = world.message(customer, 3, 5000)
        world.turn(customer, 2, 6502, third)
    return world


def drop(record: type[Any], place: int = 0) -> Callable[[World], object]:
    return lambda world: world.records.pop(world.find(record, place))


def outcome_of(wamid: str, **more: Any) -> tuple[Outcome, ...]:
    common = {"kind": OutcomeKind.ANSWERED, "reason": "r", "turn_id": "turn-5500001-1"}
    return (Outcome(wamid=wamid, **{**common, **more}),)


def swap_bubbles(world: World) -> None:
    first, second = world.accepted[0], world.accepted[1]
    world.accepted[:2] = [replace(first, number=2), replace(second, number=1)]


def swap_messages(world: World) -> None:
    a, b = world.find(MessageReceived, 0), world.find(MessageReceived, 1)
    first, second = world.records[a], world.records[b]
    world.records[a] = replace(first, position=second.position)
    world.records[b] = replace(second, position=first.position)


def late_message_in_early_turn(world: World) -> None:
    """The third message is answered by turn 1 and the first by turn 2."""
    world.change(HandoffRequested, 0, wamids=("wamid.5500001-3",))
    world.change(HandoffRequested, 1, wamids=("wamid.5500001-1", "wamid.5500001-2"))
    world.change(ConversationChanged, 3, outcomes=outcome_of("wamid.5500001-3"))
    late = {"turn_id": "turn-5500001-2"}
    outcomes = outcome_of("wamid.5500001-1", **late) + outcome_of("wamid.5500001-2", **late)
    world.change(ConversationChanged, 6, outcomes=outcomes)


PLANTED: dict[str, tuple[Callable[[World], object], str]] = {
    "a message is lost before the log": (drop(MessageReceived), "on_the_log"),
    "a message has no outcome": (
        lambda w: w.change(ConversationChanged, 3, outcomes=outcome_of("wamid.5500001-1")),
        "one_outcome",
    ),
    "a message has two outcomes": (
        lambda w: w.change(
            ConversationChanged,
            6,
            outcomes=outcome_of("wamid.5500001-3", turn_id="turn-5500001-2") * 2,
        ),
        "one_outcome",
    ),
    "a message is ignored that wants an answer": (
        lambda w: w.change(
            ConversationChanged,
            6,
            outcomes=outcome_of("wamid.5500001-3", kind=OutcomeKind.IGNORED, turn_id=None),
        ),
        "one_outcome",
    ),
    "a message was parked and never came back": (
        lambda w: w.change(
            ConversationChanged,
            6,
            outcomes=outcome_of("wamid.5500001-3", kind=OutcomeKind.PARKED, turn_id=None),
        ),
        "one_outcome",
    ),
    "a message is parked after it was answered": (
        lambda w: w.change(
            ConversationChanged,
            6,
            outcomes=outcome_of("wamid.5500001-3", turn_id="turn-5500001-2")
            + outcome_of("wamid.5500001-3", kind=OutcomeKind.PARKED, turn_id=None),
        ),
        "one_outcome",
    ),
    "an answer names no turn": (
        lambda w: w.change(
            ConversationChanged, 6, outcomes=outcome_of("wamid.5500001-3", turn_id=None)
        ),
        "covered",
    ),
    "an answer names a turn of other messages": (
        lambda w: w.change(ConversationChanged, 6, outcomes=outcome_of("wamid.5500001-3")),
        "covered",
    ),
    "half a burst is covered": (
        lambda w: w.change(HandoffRequested, 0, wamids=("wamid.5500001-1",)),
        "covered",
    ),
    "messages overtake each other": (swap_messages, "log_order"),
    "a turn covers later messages than the next": (late_message_in_early_turn, "turn_order"),
    "a turn has its messages in another order": (
        lambda w: w.change(HandoffRequested, 0, wamids=("wamid.5500001-2", "wamid.5500001-1")),
        "turn_order",
    ),
    "a step is lost": (drop(ConversationChanged, 4), "steps_once"),
    "a step is decided twice": (lambda w: w.repeat(ConversationChanged, 4), "steps_once"),
    "a bubble is sent twice": (
        lambda w: w.accepted.append(replace(w.accepted[0], number=99)),
        "sent_once",
    ),
    "an answer is given twice": (
        lambda w: w.repeat(OutboundRequested, 0, bubble_id="bubble-again"),
        "answered_once",
    ),
    "a bubble is sent that nobody asked for": (
        lambda w: w.accepted.append(Accepted(99, "conv_5500001", "bubble-ghost", "wamid.x")),
        "asked_for",
    ),
    "a bubble is sent after the gate dropped it": (
        lambda w: w.change(OutboundSettled, 0, state=BubbleState.DROPPED),
        "asked_for",
    ),
    "a bubble is missing at the simulator": (lambda w: w.accepted.pop(0), "settled_once"),
    "a bubble never settles": (drop(OutboundSettled), "settled_once"),
    "a bubble settles twice": (lambda w: w.repeat(OutboundSettled), "settled_once"),
    "a bubble fails": (
        lambda w: w.change(OutboundSettled, 0, state=BubbleState.FAILED, error_code=131000),
        "settled_once",
    ),
    "an answer has no bubble": (drop(OutboundRequested), "answers_arrive"),
    "bubbles overtake each other": (swap_bubbles, "bubble_order"),
}


def test_a_load_that_went_well_breaks_no_rule(world: World) -> None:
    assert world.broken() == set()


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_fault_is_found(world: World, plant: str) -> None:
    break_it, rule = PLANTED[plant]

    break_it(world)

    assert rule in world.broken()


def test_every_rule_has_a_planted_fault() -> None:
    assert {rule for _, rule in PLANTED.values()} == set(RULES)


def test_an_event_that_was_published_again_is_the_same_event(world: World) -> None:
    for record in list(world.records):
        world.add(record.event)

    assert world.broken() == set()


def test_a_message_that_was_parked_and_came_back_has_one_outcome(world: World) -> None:
    parked = outcome_of("wamid.5500001-3", kind=OutcomeKind.PARKED, turn_id=None)
    answered = outcome_of("wamid.5500001-3", turn_id="turn-5500001-2")

    world.change(ConversationChanged, 6, outcomes=parked + answered)

    assert world.broken() == set()


def test_other_conversations_do_not_count(world: World) -> None:
    world.sent = [message for message in world.sent if message.customer == "5500001"]
    world.records.pop(world.find(OutboundSettled, 2))

    assert world.broken() == set()


def test_what_is_not_finished_is_counted(world: World) -> None:
    wamids = [message.wamid for message in world.sent]
    whole = unfinished(history(world.sent, world.records, []), wamids)
    world.records.pop(world.find(OutboundSettled))
    world.records.pop(world.find(ConversationChanged, 3))

    assert whole == 0
    assert unfinished(history(world.sent, world.records, []), wamids) == 3


def test_overhead_leaves_the_burst_and_the_model_out(world: World) -> None:
    found = overheads(world.records)

    # Received at 1100, decided at 1102, due at 2602, model asked at 2607: 7 without the window.
    assert found.arriving == (7, 7, 7, 7)
    # The model answered at +105, WhatsApp was asked at +112.
    assert found.leaving == (7, 7, 7, 7)
    assert found.whole == (14, 14, 14, 14)


def test_percentiles_are_values_that_occurred() -> None:
    assert [percentile(range(1, 101), p) for p in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert percentile([7], 50) == 7
    assert percentile([], 95) == 0
