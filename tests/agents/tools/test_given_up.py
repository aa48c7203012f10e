from __future__ import annotations

import pytest

from agents.core.toolcalls import ToolCalls
from agents.given_up import tools_gave_up
from schemas.errors import Rejected
from schemas.events import Event, ToolCallCompleted
from tests.agents.ai.samples import Bench, OneDelivery, call, start

TOOLS = {
    "look": Bench().tool("look"),
    "write": Bench().tool("write", side_effect=True),
}


async def give_up(
    state: ToolCalls | None, event: Event
) -> tuple[ToolCalls, tuple[ToolCallCompleted, ...]]:
    after, events = await tools_gave_up(state, event, OneDelivery(), "bug", toolbox=TOOLS)
    said = tuple(each for each in events if isinstance(each, ToolCallCompleted))
    assert len(said) == len(events)
    return after, said


@pytest.mark.parametrize(
    ("tool", "error", "side_effect"),
    [
        ("look", "failed", False),
        ("write", "unknown_result", True),  # it may have written before it was given up
        ("nope", "failed", False),
    ],
)
async def test_the_model_is_told_that_its_call_failed(
    tool: str, error: str, side_effect: bool
) -> None:
    state, (said,) = await give_up(None, call(tool=tool))

    assert (said.ok, said.error, said.side_effect) == (False, error, side_effect)
    assert said.content == f'{{"error":"{error}","detail":"given_up:bug"}}'
    assert (said.call_id, said.turn_id, state.seen) == ("call-1", "turn-1", ("call-1",))


async def test_a_call_that_was_answered_is_not_answered_again() -> None:
    state, _ = await give_up(None, call())

    after, said = await give_up(state, call())

    assert (said, after.seen) == ((), ("call-1",))


@pytest.mark.parametrize("event", [start(), call(2, tenant_id="other")])
async def test_nothing_is_said_about_what_is_no_call_of_this_conversation(event: Event) -> None:
    state, _ = await give_up(None, call())

    with pytest.raises(Rejected):
        await give_up(state, event)
