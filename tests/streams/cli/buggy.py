"""A worker of which only dispatch works, and that cannot decide some messages: group, wamids."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from agents.ports import Delivery
from schemas.changing import replace
from schemas.events import Event, MessageReceived
from schemas.topics import STATEFUL_STAGES
from streams.app import Parts, build_worker
from streams.clock import WallClock
from streams.logs import configure
from streams.processor.stage import Stage
from streams.settings import load
from streams.worker import Worker


def buggy(stage: Stage, wamids: frozenset[str]) -> Stage:
    async def agent(state: Any, event: Event, delivery: Delivery) -> tuple[Any, tuple[Event, ...]]:
        if isinstance(event, MessageReceived) and event.wamid in wamids:
            raise ZeroDivisionError(event.text)
        return await stage.agent(state, event, delivery)

    return replace(stage, agent=agent)


def idle(stage: Stage) -> Stage:
    async def agent(state: Any, event: Event, _: Delivery) -> tuple[Any, tuple[Event, ...]]:
        return state or stage.state(
            tenant_id=event.tenant_id,
            conversation_id=event.conversation_id,
            customer_id=event.customer_id,
        ), ()

    return replace(stage, agent=agent)


async def serve(group: str, wamids: frozenset[str]) -> int:
    settings = load()
    configure("info", service="buggy")

    async def build() -> Parts:
        parts = await build_worker(settings, STATEFUL_STAGES)
        parts.stages = [
            buggy(stage, wamids) if stage.name == "dispatch" else idle(stage)
            for stage in parts.stages
        ]
        return parts

    return await Worker(settings, build, clock=WallClock(), group=group, shown_s=0.5).run()


if __name__ == "__main__":
    sys.exit(asyncio.run(serve(sys.argv[1], frozenset(sys.argv[2:]))))
