"""The stateful stages, wired once: for workers with the world, for replay with what was heard.

Every port goes through ``streams.processor.hearing``: what a stage can ask, replay can answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from agents.ai import ai
from agents.core.conversation import Conversation
from agents.core.gate import Gate
from agents.core.toolcalls import ToolCalls
from agents.core.turn import Turn
from agents.dispatch import Aside, dispatch
from agents.given_up import ai_gave_up, outbound_gave_up, tools_gave_up
from agents.outbound import Desk, outbound
from agents.ports import (
    Agent,
    Archive,
    Clock,
    Delivery,
    Knowledge,
    Model,
    Observe,
    Switches,
    Takeovers,
    Tenants,
    Tool,
    WriteClaims,
    unobserved,
)
from agents.tools import tools
from schemas.events import Event, MessageReceived
from schemas.topics import STEP_TAKEN, TOPICS, Topic
from streams.processor.hearing import overheard, overheard_tenants, overheard_tools, pause
from streams.processor.stage import Stage

MAX_INFLIGHT: Final = 1024

SLOW: Final = 0.0
"""Share of the drain for queued events where one may take seconds: none of them begins."""

AROUND_S: Final = 30.0
"""What an event may take beside its one long call: a database, a retrieval, two writes."""


def read_by(reader: str) -> tuple[Topic, ...]:
    """Return the topics of conversations that a stage or sink reads."""
    return tuple(topic for topic in TOPICS if reader in topic.readers and not topic.single)


def _timer(stage: str) -> Topic:
    """Return the topic that a stage's due timers are published on: it writes and reads it."""
    (topic,) = (
        topic for topic in TOPICS if topic.name.endswith(".timer.fired") and stage in topic.writers
    )
    return topic


Arrived = Callable[[str, int], None]
"""Told the business number and time of each customer's message."""


def dispatch_stage(
    tenants: Tenants,
    *,
    takeovers: Takeovers,
    archive: Archive,
    observe: Observe = unobserved,
    max_inflight: int = MAX_INFLIGHT,
    arrived: Arrived | None = None,
) -> Stage:
    """Return the stage that decides conversations."""
    heard, kept = overheard_tenants(tenants), overheard("archive", archive)
    aside = Aside(tenants=heard, archive=kept)
    return Stage(
        name="dispatch",
        inputs=read_by("dispatch"),
        state=Conversation,
        agent=_counted(
            partial(
                dispatch,
                tenants=heard,
                takeovers=overheard("takeovers", takeovers),
                archive=kept,
                observe=observe,
            ),
            arrived,
        ),
        timer_topic=_timer("dispatch"),
        absolute=frozenset({"pause"}),
        patient=frozenset({"handoff", "return", "pause"}),
        max_inflight=max_inflight,
        parked=aside.parked,
        parks=True,
        behind=aside.behind,
        dropped=aside.dropped,
        noted=STEP_TAKEN,
    )


def _counted(agent: Agent[Conversation], arrived: Arrived | None) -> Agent[Conversation]:
    """Tell of customers' messages: WhatsApp's limit of a number counts both directions."""
    if arrived is None:
        return agent

    async def counted(
        state: Conversation | None, event: Event, delivery: Delivery
    ) -> tuple[Conversation, tuple[Event, ...]]:
        if isinstance(event, MessageReceived):
            arrived(event.phone_number_id, event.occurred_at)
        return await agent(state, event, delivery)

    return counted


def ai_stage(  # noqa: PLR0913 - ports, keyword-only
    *,
    model: Model,
    knowledge: Knowledge,
    tenants: Switches,
    toolbox: Mapping[str, Tool],
    clock: Clock,
    timeout_s: float = 60.0,
    max_inflight: int = MAX_INFLIGHT,
) -> Stage:
    """Return the stage that runs turns."""
    heard = overheard_tenants(tenants)
    return Stage(
        name="ai",
        inputs=read_by("ai"),
        state=Turn,
        agent=partial(
            ai,
            model=overheard("model", model),
            knowledge=overheard("knowledge", knowledge),
            tenants=heard,
            toolbox=toolbox,
            clock=overheard("clock", clock),
            timeout_s=timeout_s,
            sleep=pause,
        ),
        max_inflight=max_inflight,
        queued_share=SLOW,
        call_limit_s=timeout_s + AROUND_S,
        parked=partial(ai_gave_up, tenants=heard),
        noted=STEP_TAKEN,
    )


def tools_stage(
    *,
    toolbox: Mapping[str, Tool],
    claims: WriteClaims,
    tenants: Tenants,
    clock: Clock,
    observe: Observe = unobserved,
    max_inflight: int = MAX_INFLIGHT,
) -> Stage:
    """Return the stage that runs tools."""
    return Stage(
        name="tools",
        inputs=read_by("tools"),
        state=ToolCalls,
        agent=partial(
            tools,
            toolbox=overheard_tools(toolbox),
            claims=overheard("claims", claims),
            tenants=overheard_tenants(tenants),
            clock=overheard("clock", clock),
            observe=observe,
            sleep=pause,
        ),
        max_inflight=max_inflight,
        queued_share=SLOW,
        call_limit_s=max((tool.timeout_s for tool in toolbox.values()), default=0) + AROUND_S,
        parked=partial(tools_gave_up, toolbox=toolbox),
        noted=STEP_TAKEN,
    )


def outbound_stage(desk: Desk, *, max_inflight: int = MAX_INFLIGHT) -> Stage:
    """Return the stage that sends."""
    heard = Desk(
        claims=overheard("claims", desk.claims),
        permits=overheard("permits", desk.permits),
        courier=overheard("courier", desk.courier),
        tenants=overheard_tenants(desk.tenants),
        clock=overheard("clock", desk.clock),
        ended=desk.ended,
        show=desk.show,
        observe=desk.observe,
    )
    return Stage(
        name="outbound",
        inputs=read_by("outbound"),
        state=Gate,
        agent=partial(outbound, desk=heard),
        timer_topic=_timer("outbound"),
        patient=frozenset({"unknown_cap"}),
        max_inflight=max_inflight,
        parked=partial(outbound_gave_up, desk=heard),
        noted=STEP_TAKEN,
    )
