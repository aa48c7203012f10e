"""What adapters tell about themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCalled:
    """A model call ended; ``outcome`` is ``ok``, ``cancelled`` or an error code."""

    model: str
    agent: str
    outcome: str
    seconds: float
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRan:
    """A tool run ended; ``outcome`` is ``ok``, ``refused`` or ``unavailable``."""

    tool: str
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A WhatsApp request ended: ``accepted``, ``refused``, ``unknown`` or ``not_sent``."""

    outcome: str
    code: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTold:
    """A read receipt ended: ``told``, ``refused``, ``unknown``, ``not_sent`` or ``dropped``."""

    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BubbleMoved:
    """A bubble's state changed at the gate; ``reason`` is a short code, such as an error class."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BubbleSettled:
    """A bubble ended at the gate; ``unknown``: its result was not known before."""

    state: str
    reason: str
    unknown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownBubbles:
    """How many bubbles of a conversation wait for a status that tells their result."""

    conversation_id: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitChanged:
    """A circuit breaker changed; ``state`` is 0 closed, 1 half open, 2 open."""

    service: str
    state: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeoverApplied:
    """The gate confirmed a takeover; ``seconds`` from dispatch's decision to the gate's."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffLate:
    """No person came to a hand-over in time; ``decision`` says what became of it."""

    decision: str


Observation = (
    ModelCalled
    | ToolRan
    | Posted
    | ReadTold
    | BubbleMoved
    | BubbleSettled
    | UnknownBubbles
    | CircuitChanged
    | TakeoverApplied
    | HandoffLate
)
Observe = Callable[[Observation], None]
"""The one hook through which adapters are measured."""


def unobserved(_: Observation, /) -> None:
    """Observe nothing."""
