"""Tools, their callers, and the claims that make effects happen at most once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCaller:
    """On whose behalf a tool runs; identity never comes from the model.

    Attributes:
        tenant_id: The company.
        conversation_id: The conversation.
        customer_id: The customer.
        call_id: UUID of the call: the idempotency key of its effect.
    """

    tenant_id: str
    conversation_id: str
    customer_id: str
    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolReturned:
    """What a tool gave.

    Attributes:
        ok: False when it refused; the model sees ``content`` either way.
        content: JSON-serialisable, bounded by the stage.
        error: Short code of a refusal.
    """

    ok: bool
    content: Any
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that a model may ask for.

    Attributes:
        name: Its name, unique.
        doc: What it does, for the model.
        parameters: JSON schema of its arguments.
        run: Does it; raises Unavailable when its system is down.
        agents: Names of the agents that may use it.
        side_effect: True when it changes something outside: claimed first, never run twice.
        timeout_s: Time limit of one run.
    """

    name: str
    doc: str
    parameters: Mapping[str, Any]
    run: Callable[[ToolCaller, Mapping[str, Any]], Awaitable[ToolReturned]]
    agents: tuple[str, ...]
    side_effect: bool = False
    timeout_s: float = 10.0


Claimed = Literal["given", "taken", "barred"]
"""What came of a claim that a takeover may stand in the way of."""


class Takeovers(Protocol):
    """Where a takeover is written down before anybody is told of it."""

    async def bar(self, conversation_id: str, epoch: int, /) -> None:
        """Let no write and no AI bubble of a conversation start for an epoch before this one.

        Raises Unavailable when Postgres is down.
        """


class Claims(Protocol):
    """Rows that make an effect outside Kafka happen at most once.

    A claim is taken just before the effect. A second claim of the same id fails,
    so a redelivered event knows that the effect may already have happened.
    """

    async def claim(self, kind: str, effect_id: str, attempt: int, /) -> bool:
        """Take the row (kind, effect_id, attempt); False when it is taken already.

        ``kind`` is ``bubble`` or ``tool``. Raises Unavailable when Postgres is down.
        """

    async def taken(self, kind: str, effect_id: str, attempt: int, /) -> bool:
        """Say whether the row is taken, without taking it. Raises Unavailable."""

    async def settle(self, kind: str, effect_id: str, attempt: int, result: str, /) -> None:
        """Write the result (JSON) beside the claim; best effort, for redelivery."""

    async def result(self, kind: str, effect_id: str, attempt: int, /) -> str | None:
        """Return the result that was written beside the claim, or None."""


class BubbleClaims(Claims, Protocol):
    """Claims of bubbles: a takeover stands in the way of what the AI says."""

    async def claim_ai(
        self, bubble_id: str, attempt: int, conversation_id: str, epoch: int, /
    ) -> Claimed:
        """Take the row of a bubble of the AI, unless it is barred; one that is taken stays taken.

        It is barred once ``Takeovers.bar`` has returned for a newer epoch, whoever asks.
        Raises Unavailable.
        """


class WriteClaims(Claims, Protocol):
    """Claims of tools that change something: a takeover stands in their way."""

    async def claim_write(
        self, call_id: str, attempt: int, conversation_id: str, epoch: int, /
    ) -> Claimed:
        """Take the row of a tool call that changes something, unless it is barred.

        One that is taken stays taken.
        It is barred once ``Takeovers.bar`` has returned for a newer epoch, whoever asks.
        Raises Unavailable.
        """
