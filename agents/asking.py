"""One model call of a turn: tried again, a few times, within the turn's deadline."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from agents.core.patience import wait_s
from agents.core.turn import Running, left_tokens
from agents.ports import (
    Clock,
    Completion,
    Delivery,
    Knowledge,
    Model,
    Prompt,
    Switches,
    Tool,
)
from schemas.errors import Unavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What one handling may ask."""

    model: Model
    knowledge: Knowledge
    tenants: Switches
    toolbox: Mapping[str, Tool]
    clock: Clock
    delivery: Delivery
    timeout_s: float
    sleep: Callable[[float], Awaitable[None]]


async def completed(running: Running, world: World) -> Completion:
    """Call the model; tries again, a few times and within the deadline, while it is down.

    Raises:
        Unavailable: It is still down.
        Rejected: The provider refuses this request for good.
    """
    tries = 0
    while True:
        left_s = (running.deadline_at - world.clock.now_ms()) / 1000
        try:
            return await world.model.complete(_prompt(running, world, left_s), agent=running.agent)
        except Unavailable as exc:
            tries += 1
            pause_s = wait_s(tries, exc.retry_after_s, left_s)
            if pause_s is None:
                raise
            log.warning("model.retried", agent=running.agent, tries=tries)
            await world.sleep(pause_s)


def _prompt(running: Running, world: World, left_s: float) -> Prompt:
    """Return the prompt of the next call; the last one is offered no tools, so it must answer."""
    last = running.step + 1 >= running.limits.steps
    left = left_tokens(running)
    return Prompt(
        messages=running.messages,
        tools=() if last else _schemas(world.toolbox, running.agent),
        max_tokens=min(running.limits.answer_tokens, left),
        budget=left,
        timeout_s=max(0.1, min(world.timeout_s, left_s)),
    )


def _schemas(toolbox: Mapping[str, Tool], agent: str) -> tuple[Mapping[str, Any], ...]:
    return tuple(
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.doc,
                "parameters": dict(tool.parameters),
            },
        }
        for tool in toolbox.values()
        if agent in tool.agents
    )
