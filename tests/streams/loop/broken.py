"""A worker as the composition root builds it, of which only dispatch works for one tenant."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from agents.ports import Delivery
from schemas.changing import replace
from schemas.errors import Rejected
from schemas.events import Event
from schemas.topics import STATEFUL_STAGES
from streams.app import Parts, build_worker
from streams.clock import WallClock
from streams.logs import configure
from streams.processor.stage import Stage
from streams.settings import load
from streams.worker import Worker

BROKEN = ("ai", "tools", "outbound")


def broken(stage: Stage, tenant_id: str) -> Stage:
    """A stage that gives up every event of a tenant, and does nothing about those of others."""

    async def agent(state: Any, event: Event, _: Delivery) -> tuple[Any, tuple[Event, ...]]:
        if event.tenant_id == tenant_id:
            raise Rejected("no_good")
        return state or stage.state(
            tenant_id=event.tenant_id,
            conversation_id=event.conversation_id,
            customer_id=event.customer_id,
        ), ()

    return replace(stage, agent=agent)


async def serve(tenant_id: str) -> int:
    settings = load()
    configure("info", service="broken")

    async def build() -> Parts:
        parts = await build_worker(settings, STATEFUL_STAGES)
        parts.stages = [broken(s, tenant_id) if s.name in BROKEN else s for s in parts.stages]
        return parts

    return await Worker(
        settings, build, clock=WallClock(), group=f"broken.{tenant_id}", shown_s=0.5
    ).run()


if __name__ == "__main__":
    sys.exit(asyncio.run(serve(sys.argv[1])))
