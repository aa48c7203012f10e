"""Customers who write to people of the company while its number sends to others.

Their messages are put on the log as the webhook puts them, and the simulator hears each of them:
WhatsApp counts both directions. People have these conversations, so that nobody but them answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from schemas.errors import Unavailable
from schemas.events import (
    ConversationChanged,
    Event,
    HumanReplied,
    MessageKind,
    MessageReceived,
    OutcomeKind,
    Person,
    Phase,
    ReplyOrigin,
)
from schemas.ids import derived, trace
from schemas.topics import HUMAN_REPLIED, MESSAGE_RECEIVED
from streams.clock import WallClock
from streams.local.bench.ends import Open
from streams.local.bench.pace import paced
from streams.local.demo.shop import NUMBER, TENANT

TEXT: Final = "Oi, alguma novidade?"

Post = Callable[[Event], Awaitable[Any]]
Hear = Callable[[Sequence[tuple[str, str]]], Awaitable[None]]
"""Tells the simulator of messages: phone number and id of each."""


class Inbound:
    """Customers, and what became of each of their messages.

    Attributes:
        people: Conversations and phone numbers.
        outcomes: How each message ended; more than one outcome is one too many.
    """

    def __init__(self, people: Sequence[tuple[str, str]], *, post: Post, hear: Hear) -> None:
        self.people = people
        self.outcomes: dict[str, list[OutcomeKind]] = {}
        self._post = post
        self._hear = hear
        self._clock = WallClock()
        self._strangers = Open()
        self._open = Open()

    async def introduce(self, patience_s: float) -> None:
        """Let a person write first in every conversation, on the phone: it is theirs then.

        Raises:
            Unavailable: Dispatch did not say so of all of them in time.
        """
        for conversation, _ in self.people:
            self._strangers.add(conversation)
        await asyncio.gather(*[await self._post(self._reply(*each)) for each in self.people])
        await self._strangers.empty(patience_s)
        if len(self._strangers):
            raise Unavailable("dispatch")

    async def write(self, count: int, per_second: float) -> None:
        """Write so many messages, evenly spread, one customer after the other."""
        sent = []
        async for number in paced(count, per_second):
            conversation, phone = self.people[number % len(self.people)]
            wamid = f"wamid.bench.{phone}.{number}"
            self._open.add(wamid)
            self.outcomes[wamid] = []
            await self._hear([(phone, wamid)])
            sent.append(await self._post(self._message(conversation, phone, wamid)))
        await asyncio.gather(*sent)

    async def complete(self, patience_s: float) -> None:
        """Wait until every message has ended, but not for ever."""
        await self._open.empty(patience_s)

    def note(self, event: Event) -> None:
        """Note one record."""
        if not isinstance(event, ConversationChanged):
            return
        if event.phase is Phase.WITH_HUMAN:
            self._strangers.discard(event.conversation_id)
        for outcome in event.outcomes:
            if (found := self.outcomes.get(outcome.wamid)) is not None:
                found.append(outcome.kind)
                self._open.discard(outcome.wamid)

    @property
    def astray(self) -> int:
        """Messages that did not come to a person exactly once."""
        return sum(found != [OutcomeKind.HANDED] for found in self.outcomes.values())

    def _reply(self, conversation: str, phone: str) -> HumanReplied:
        reply_id = f"wamid.bench.{phone}.first"
        return HumanReplied(
            **self._envelope(HUMAN_REPLIED.name, reply_id, conversation),
            phone_number_id=NUMBER,
            origin=ReplyOrigin.PHONE_APP,
            reply_id=reply_id,
            wamid=reply_id,
            text="Pode escrever aqui.",
            recipient=Person(wa_id=phone),
        )

    def _message(self, conversation: str, phone: str, wamid: str) -> MessageReceived:
        given = self._envelope(MESSAGE_RECEIVED.name, wamid, conversation)
        return MessageReceived(
            **given,
            phone_number_id=NUMBER,
            wamid=wamid,
            kind=MessageKind.TEXT,
            text=TEXT,
            sender=Person(wa_id=phone),
            sent_at=given["occurred_at"],
        )

    def _envelope(self, topic: str, name: str, conversation: str) -> dict[str, Any]:
        return {
            "event": topic,
            "event_id": derived("bench", name),
            "trace_id": trace("bench", name),
            "tenant_id": TENANT,
            "conversation_id": conversation,
            "customer_id": f"cust_{conversation.removeprefix('conv_')}",
            "idempotency_key": f"{NUMBER}:{name}",
            "occurred_at": self._clock.now_ms(),
        }
