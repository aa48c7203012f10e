"""A turn that dispatch takes back while the model is asked, in the real lanes and the real loop."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from agents.ai import ai
from agents.core.turn import Turn
from agents.ports import Completion, Model, Prompt, estimated_tokens
from schemas.errors import Unavailable
from schemas.events import ResponseGenerated, ResponseOutcome
from schemas.topics import HANDOFF_REQUESTED, RESPONSE_GENERATED
from tests.agents.ai.samples import Directory, HandClock, ScriptedModel, Shelf, cancel, said, start
from tests.streams.loop.fakes import Rig


class SlowModel:
    """Answers when it is let; knows which calls were cancelled on their way."""

    def __init__(self) -> None:
        self.asked: list[Prompt] = []
        self.cancelled: list[Prompt] = []
        self.open = asyncio.Event()
        self.reached = asyncio.Event()

    async def complete(self, prompt: Prompt, /, *, agent: str) -> Completion:
        self.asked.append(prompt)
        self.reached.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.append(prompt)
            raise
        return said(f"de {agent}")


def rig(model: Model, tenants: Directory | None = None, **more: Any) -> Rig:
    agent = partial(
        ai,
        model=model,
        knowledge=Shelf(),
        tenants=tenants or Directory(),
        toolbox={},
        clock=HandClock(),
        **more,
    )
    return Rig(agent, state=Turn, inputs=(HANDOFF_REQUESTED,))


def responses(on: Rig) -> list[ResponseGenerated]:
    events = [on.codec.decode(each.value) for each in on.publisher.on(RESPONSE_GENERATED.name)]
    return [event for event in events if isinstance(event, ResponseGenerated)]


async def test_a_cancel_that_waits_behind_its_turn_ends_the_model_call() -> None:
    model = SlowModel()
    stage = rig(model)
    assert stage.lanes.take(stage.message(start(), 0))
    await model.reached.wait()

    assert stage.lanes.take(stage.message(cancel(), 1))
    await stage.idle()

    assert model.cancelled == model.asked
    (response,) = responses(stage)
    assert (response.outcome, response.turn_id) == (ResponseOutcome.CANCELLED, "turn-1")
    assert response.prompt_tokens == estimated_tokens(model.asked[0].messages)
    assert [message.offset for message in stage.app.consumer.settled] == [0, 1]


async def test_a_cancel_that_came_before_its_turn_began_asks_no_model() -> None:
    model = SlowModel()
    stage = rig(model)
    for offset, event in enumerate((start(), cancel(), start(2))):
        assert stage.lanes.take(stage.message(event, offset))
    model.open.set()
    await stage.idle()

    outcomes = [(each.turn_id, each.outcome) for each in responses(stage)]
    assert outcomes == [
        ("turn-1", ResponseOutcome.CANCELLED),
        ("turn-2", ResponseOutcome.ANSWERED),
    ]
    assert len(model.asked) == 1


async def test_what_waits_for_another_turn_does_not_end_the_call() -> None:
    model = SlowModel()
    stage = rig(model)
    assert stage.lanes.take(stage.message(start(2), 0))
    await model.reached.wait()
    assert stage.lanes.take(stage.message(cancel(1), 1))
    for _ in range(20):
        await asyncio.sleep(0)
    assert model.cancelled == []

    model.open.set()
    await stage.idle()

    assert [each.outcome for each in responses(stage)] == [
        ResponseOutcome.ANSWERED,
        ResponseOutcome.CANCELLED,  # of turn 1, which never began here
    ]


async def test_a_cancel_between_two_tries_ends_the_turn_and_charges_for_one_call() -> None:
    """The provider may have read the prompt before it failed; no figure tells."""
    waits = asyncio.Event()

    async def forever(_: float) -> None:
        waits.set()
        await asyncio.Event().wait()

    stage = rig(ScriptedModel([Unavailable("model")]), sleep=forever)
    assert stage.lanes.take(stage.message(start(), 0))
    await waits.wait()

    assert stage.lanes.take(stage.message(cancel(), 1))
    await stage.idle()

    (response,) = responses(stage)
    assert response.outcome is ResponseOutcome.CANCELLED
    assert [call.finish_reason for call in response.calls] == ["cancelled"]


async def test_the_kill_switch_ends_every_model_call_that_runs_and_none_begins() -> None:
    model, tenants = SlowModel(), Directory()
    stage = rig(model, tenants)
    for offset, name in enumerate(("conv_a", "conv_b")):
        assert stage.lanes.take(stage.message(start(conversation_id=name), offset))
    while len(model.asked) < len(("conv_a", "conv_b")):
        await model.reached.wait()
        model.reached.clear()
    assert stage.lanes.take(stage.message(start(2, conversation_id="conv_a"), 2))

    tenants.switch_off()
    await stage.idle()

    assert model.cancelled == model.asked
    said_of = [(each.conversation_id, each.turn_seq, each.reason) for each in responses(stage)]
    charged = [each.turn_seq for each in responses(stage) if each.prompt_tokens]
    assert charged == [1, 1]  # for the second turn the model was never asked
    assert sorted(said_of) == [
        ("conv_a", 1, "ai_disabled"),
        ("conv_a", 2, "ai_disabled"),
        ("conv_b", 1, "ai_disabled"),
    ]
    assert {each.outcome for each in responses(stage)} == {ResponseOutcome.HANDOFF}


async def test_an_answer_that_is_there_when_the_switch_comes_is_not_thrown_away() -> None:
    """It is judged behind the turn, by dispatch and by the gate."""
    model, tenants = SlowModel(), Directory()
    stage = rig(model, tenants)
    assert stage.lanes.take(stage.message(start(), 0))
    await model.reached.wait()

    model.open.set()
    tenants.switch_off()
    await stage.idle()

    assert model.cancelled == []
    assert [each.outcome for each in responses(stage)] == [ResponseOutcome.ANSWERED]
