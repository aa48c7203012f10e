"""What a batch changed in the transcript, for whoever shows it to people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

Key = tuple[str, str]
"""Tenant and conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageChange:
    """A message that is new or differs from before.

    Attributes:
        tenant_id: The company.
        conversation_id: The conversation.
        id: The message.
        target_wamid: The message that it edits, revokes or reacts to.
        kind: Its type.
        created: True when it was not there before.
    """

    tenant_id: str
    conversation_id: str
    id: str
    target_wamid: str | None
    kind: str
    created: bool

    @property
    def key(self) -> Key:
        """Its tenant and conversation."""
        return self.tenant_id, self.conversation_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What one batch changed; empty when it was written before.

    Attributes:
        messages: Messages, in the order of their keys.
        moved: Status and person of each ticket before dispatch's step changed it.
    """

    messages: tuple[MessageChange, ...] = ()
    moved: Mapping[Key, tuple[str, str | None]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.messages or self.moved)


class Feed(Protocol):
    """Shows people what changed; best effort."""

    async def publish(self, changes: Changes, /) -> None:
        """Tell those who watch; never raises and never waits for them."""
