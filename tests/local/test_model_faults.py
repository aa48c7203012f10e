"""A model gone wrong in every way: the turn still ends, once, within its budget."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from agents.adapters.llm import OpenAIModel, client
from agents.ai import ai
from agents.core.turn import Turn
from agents.toolbox import shipped
from agents.tools import tools
from schemas.events import Event, ResponseGenerated, ToolCallRequested
from streams.local.model.server import ModelServer, Rules
from tests.agents.ai.samples import (
    Directory,
    HandClock,
    Ledger,
    OneDelivery,
    Shelf,
    start,
)
from tests.agents.toolbox.shop import Shop


class Turns:
    """The AI and tools stages over the real client and the model's server."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self.clock = HandClock()
        self.api = client("http://model/v1", "", transport=httpx2.ASGITransport(app=server.app()))
        self.model = OpenAIModel(self.api, "offline-rules", clock=self.clock)
        self.toolbox = shipped(Shop())

    async def play(self, question: str) -> tuple[list[ResponseGenerated], int]:
        """Play a turn until nothing is left to do; its responses and its tool calls."""
        waiting: list[Event] = [start(question=question)]
        responses: list[ResponseGenerated] = []
        state: Turn | None = None
        calls, ran = None, 0
        while waiting:
            event = waiting.pop(0)
            if isinstance(event, ToolCallRequested):
                ran += 1
                calls, events = await tools(
                    calls,
                    event,
                    OneDelivery(),
                    toolbox=self.toolbox,
                    claims=Ledger(),
                    tenants=Directory(),
                    clock=self.clock,
                    sleep=self.clock.sleep,
                )
            elif isinstance(event, ResponseGenerated):
                responses.append(event)
                continue
            else:
                state, events = await ai(
                    state,
                    event,
                    OneDelivery(),
                    model=self.model,
                    knowledge=Shelf(),
                    tenants=Directory(),
                    toolbox=self.toolbox,
                    clock=self.clock,
                    sleep=self.clock.sleep,
                )
            waiting.extend(events)
        return responses, ran


@pytest.fixture
async def turns() -> AsyncIterator[Turns]:
    given = Turns(ModelServer(Rules()))
    yield given
    await given.api.close()


@pytest.mark.parametrize(
    ("fault", "times", "outcome", "reason", "asked"),
    [
        ({"kind": "status", "status": 429, "retry_after_s": 2}, 1, "answered", "", 2),
        (
            {"kind": "status", "status": 429, "retry_after_s": 60},
            1,
            "failed",
            "model_unavailable",
            1,
        ),
        ({"kind": "status", "status": 500}, 2, "answered", "", 3),
        ({"kind": "status", "status": 500}, 9, "failed", "model_unavailable", 3),
        ({"kind": "status", "status": 401}, 1, "failed", "model:unauthorized", 1),
        ({"kind": "invalid_json"}, 1, "answered", "", 2),
        ({"kind": "invalid_json"}, 9, "failed", "model_unavailable", 3),
        ({"kind": "huge"}, 1, "failed", "model:answer_too_large", 1),
        ({"kind": "refusal"}, 1, "handoff", "refused", 1),
        ({"kind": "empty"}, 1, "answered", "", 2),
        ({"kind": "empty"}, 9, "handoff", "empty_answer", 2),
        ({"kind": "wrong_tool"}, 1, "answered", "", 2),
        ({"kind": "bad_arguments"}, 1, "answered", "", 2),
        ({"kind": "wrong_tool"}, 99, "handoff", "step_limit", 6),
        ({"kind": "endless_tools"}, 99, "handoff", "step_limit", 6),
    ],
)
async def test_a_turn_ends_once_whatever_the_model_does(
    turns: Turns, fault: dict[str, Any], times: int, outcome: str, reason: str, asked: int
) -> None:
    turns.server.faults.add({"faults": [{**fault, "times": times}]})

    responses, ran = await turns.play("Quanto tempo leva a entrega?")

    (response,) = responses
    assert (response.outcome, response.reason) == (outcome, reason)
    assert turns.server.faults.requests == asked
    assert ran <= 15
    assert bool(response.bubbles) == (outcome == "answered")


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Quanto tempo leva a entrega?", "A entrega leva 5 dias úteis."),
        ("onde está o pedido 100?", "O pedido 100 está enviado"),
        ("onde está o pedido 200?", "Não encontrei um pedido com esse número."),
        ("quanto custa o tênis?", "Encontrei: Tênis por R$ 1,00 (em estoque)."),
    ],
)
async def test_the_offline_model_serves_a_customer(turns: Turns, question: str, said: str) -> None:
    (response,), _ = await turns.play(question)

    assert response.bubbles[0].startswith(said)


async def test_a_customer_who_wants_a_person_gets_one(turns: Turns) -> None:
    (response,), _ = await turns.play("quero falar com um atendente")

    assert (response.outcome, response.handoff_to) == ("handoff", "human")
