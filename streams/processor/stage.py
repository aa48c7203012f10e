"""A stage: one agent, the state it keeps of each conversation, and the topics it reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agents.ports import Agent, Delivery
from schemas.changing import replace
from schemas.events import Event
from schemas.topics import Topic, changelog

Hasten = Callable[[str, str], Awaitable[bool]]
"""Publishes a timer of a conversation before it is due: its id and the timer's name; False when
this worker has no such timer that was not published yet."""

Parked = Callable[[Any, Event, Delivery, str], Awaitable[tuple[Any, tuple[Event, ...]]]]
"""Given the state (or None), an event that is not decided, its delivery and the reason code:
the state after it and what to say about it. What it asks for is noted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stateful stage.

    Attributes:
        name: ``dispatch``, ``ai``, ``tools`` or ``outbound``; its changelog topic is named by it.
        inputs: Topics that it reads; no other stage reads them.
        state: Class of its state: a frozen struct that satisfies ``agents.ports.State``.
        agent: What it does with one event.
        timer_topic: Where its due timers are published; one of its inputs.
        absolute: Timers whose time somebody has named, by a right clock; all others are waits.
        patient: Timers, by their names up to a colon, that come behind what was unread when this
            worker got the partition: it may have ended what they wait for.
        max_inflight: Most events taken and not finished, over all conversations.
        max_inflight_bytes: Most bytes of their records; one conversation may fill an eighth.
        lane_limit: Most events waiting for one conversation before its partition pauses.
        queued_share: Part of the drain time in which queued events still begin;
            0 where an event takes seconds.
        call_limit_s: Longest time that one event may take while what it needs answers.
        parked: What becomes of a conversation whose event is given up; None changes nothing.
        parks: True parks the conversation with the event; otherwise the event is closed alone,
            and the conversation is parked only when that cannot be done (docs/adr/0011).
        behind: What to say of an event that is set aside behind a parked one.
        dropped: What to say of a parked event that an operator gives up; as ``parked``, unless
            it is given.
        noted: Where a step about which the stage says nothing is noted; None notes nothing.
        hastens: Given what publishes its timers early, once it is to run.
    """

    name: str
    inputs: tuple[Topic, ...]
    state: type[Any]
    agent: Agent[Any]
    timer_topic: Topic | None = None
    absolute: frozenset[str] = frozenset()
    patient: frozenset[str] = frozenset()
    max_inflight: int = 1024
    max_inflight_bytes: int = 128 << 20
    lane_limit: int = 256
    queued_share: float = 0.5
    call_limit_s: float = 60.0
    parked: Parked | None = None
    parks: bool = False
    behind: Parked | None = None
    dropped: Parked | None = None
    noted: Topic | None = None
    hastens: Callable[[Hasten], None] | None = None

    def without(self, topic: str) -> Stage:
        """Return the stage as it was before it read a topic."""
        return replace(self, inputs=tuple(each for each in self.inputs if each.name != topic))

    @property
    def changelog(self) -> str:
        """Name of its changelog topic."""
        return changelog(self.name)

    def blank(self, event: Event) -> Any:
        """Return a state whose next step has the number 0: it stands outside the order."""
        return self.state(
            tenant_id=event.tenant_id,
            conversation_id=event.conversation_id,
            customer_id=event.customer_id,
            seq=-1,
        )
