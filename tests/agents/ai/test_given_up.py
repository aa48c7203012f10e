from __future__ import annotations

from typing import Any

import pytest

from agents.core import turnsteps
from agents.core.ai_given_up import given_up
from agents.core.turn import Limits, Turn, stepped
from agents.core.turnevents import Moment
from agents.given_up import ai_gave_up
from schemas.errors import Rejected
from schemas.events import Event, ResponseGenerated, ResponseOutcome, ToolCallRequested
from tests.agents.ai.samples import (
    NOW,
    SOURCE,
    Directory,
    OneDelivery,
    cancel,
    result,
    start,
    wants,
)

WRITES = frozenset({"open_ticket"})


def moment(event: Event) -> Moment:
    return Moment(event=event, source=SOURCE, now_ms=NOW)


def begun(turn: int = 1) -> Turn:
    """A turn whose model is to be asked."""
    event = start(turn)
    state, _ = turnsteps.begin(
        stepped(None, event),
        event,
        moment(event),
        messages=({"role": "user", "content": "oi"},),
        prompt_version="v",
        limits=Limits(),
    )
    return state


def waiting(*tools: str) -> tuple[Turn, tuple[ToolCallRequested, ...]]:
    """A turn that waits for tools, and what it asked of them."""
    state, said = turnsteps.answered(begun(), wants(*tools), moment(start()), writes=WRITES)
    return state, tuple(each for each in said if isinstance(each, ToolCallRequested))


def give_up(state: Turn | None, event: Event) -> tuple[Turn, list[ResponseGenerated]]:
    after, events = given_up(state, moment(event), "bug")
    responses = [each for each in events if isinstance(each, ResponseGenerated)]
    assert len(responses) == len(events)
    return after, responses


def told(responses: list[ResponseGenerated]) -> list[tuple[str, str, str]]:
    return [(each.turn_id, each.outcome, each.reason) for each in responses]


def test_a_start_that_is_given_up_ends_its_turn_at_once() -> None:
    state, responses = give_up(None, start())

    assert told(responses) == [("turn-1", ResponseOutcome.FAILED, "given_up:bug")]
    assert (state.running, [past.turn_id for past in state.finished]) == (None, ["turn-1"])


def test_a_turn_that_ran_before_it_is_taken_back_first() -> None:
    _, responses = give_up(begun(1), start(2))

    assert told(responses) == [
        ("turn-1", ResponseOutcome.CANCELLED, "superseded"),
        ("turn-2", ResponseOutcome.FAILED, "given_up:bug"),
    ]


def test_a_cancel_that_is_given_up_takes_its_turn_back_all_the_same() -> None:
    state, responses = give_up(begun(), cancel())

    assert told(responses) == [("turn-1", ResponseOutcome.CANCELLED, "given_up:bug")]
    assert state.running is None


def test_a_result_that_is_given_up_ends_the_turn_that_waits_for_it() -> None:
    before, (call, _) = waiting("look", "look")

    state, responses = give_up(before, result(call))

    assert told(responses) == [("turn-1", ResponseOutcome.FAILED, "given_up:bug")]
    assert state.running is None


@pytest.mark.parametrize(
    ("tool", "reported", "touched"),
    [
        ("look", False, 0),  # it only read
        ("open_ticket", True, 1),  # it wrote, and said so
        ("open_ticket", False, 1),  # it may have written: its result was never read
        ("look", True, 1),  # what it says of itself counts, whatever this stage knew
    ],
)
def test_what_a_tool_changed_outside_is_not_forgotten(
    tool: str, reported: bool, touched: int
) -> None:
    before, (call,) = waiting(tool)

    _, (response,) = give_up(before, result(call, side_effect=reported))

    assert response.side_effects == (call.call_id,) * touched


def ended() -> Turn:
    return give_up(None, start())[0]


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (ended(), start()),  # had its response: a start that came again
        (ended(), cancel()),  # had its response before it was taken back
        (begun(), start()),  # runs: a start that came again
        (begun(), start(2, to_agent="human")),  # a routing to a person is no turn
        (begun(), result(waiting("look")[1][0])),  # nobody waits for it
        (None, start(to_agent="human")),
    ],
)
def test_a_turn_has_one_response(state: Turn | None, event: Event) -> None:
    after, responses = give_up(state, event)

    assert responses == []
    assert after.running == (state.running if state else None)
    assert after.seq == (state.seq if state else 0) + 1


def test_nothing_is_said_in_a_conversation_of_somebody_else() -> None:
    with pytest.raises(Rejected, match="wrong_conversation"):
        given_up(begun(), moment(start(2, tenant_id="other")), "wrong_conversation")


def test_deciding_it_again_says_the_same() -> None:
    before, (call,) = waiting("open_ticket")

    assert give_up(before, result(call)) == give_up(before, result(call))


async def test_the_stage_names_the_settings_that_it_knew() -> None:
    said: Any
    _, (said,) = await ai_gave_up(None, start(), OneDelivery(), "bug", tenants=Directory())
    _, (blind,) = await ai_gave_up(None, start(), OneDelivery(), "bug", tenants=Directory({}))

    assert (said.cause.settings_version, said.cause.offset) == (7, SOURCE.offset)
    assert isinstance(blind, ResponseGenerated)
    assert blind.outcome is ResponseOutcome.FAILED
