"""Permits: whether one more message of a business number may be written now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from schemas.events import Author

TAKEN_OVER: Final = "taken_over"
"""Why a bubble of the AI got no claim: a takeover was written down before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A bubble that asks for a permit.

    Attributes:
        conversation_id: Its conversation.
        bubble_id: The bubble.
        phone_number_id: The number that would send it.
        author: Who speaks, or waits behind it: people go first, then the AI, then automation.
        deadline_ms: When it can no longer be sent; among equals the earliest goes first.
    """

    conversation_id: str
    bubble_id: str
    phone_number_id: str
    author: Author
    deadline_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """A bubble that got no permit or no claim: nothing was tried.

    Attributes:
        reason: ``number_rate``, the class of the refusal that stopped its channel, or
            ``taken_over``.
    """

    reason: str


class Permits(Protocol):
    """Permits of the numbers that one worker sends from."""

    async def ask(self, asked: Asked, /) -> Withheld | None:
        """Return None when it may be sent; what came of it must be told.

        A bubble without a permit is woken by its timer ``held:<bubble>`` or ``rate:<bubble>``,
        early when its turn comes.

        Raises:
            Unavailable: Postgres is down, so nobody knows what may be sent.
        """
