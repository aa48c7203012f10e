"""Three customers at once: one asks the shop, one asks for an order, one asks for a person."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from agents.ports import Clock
from schemas.events import (
    Author,
    BubbleState,
    ConversationChanged,
    MessageReceived,
    OutboundRequested,
    OutboundSettled,
    OutcomeKind,
    ResponseGenerated,
    ToolCallCompleted,
)
from sinks.ports import Recorded
from streams.local.demo.cast import Post, customer
from streams.local.demo.people import People
from streams.local.demo.watch import Watch
from streams.local.load.checker import Violation
from streams.local.outside import Outside

PATIENCE_S: Final = 60.0
ANSWERED: Final = frozenset({OutcomeKind.ANSWERED})
HANDED: Final = frozenset({OutcomeKind.HANDED})

QUESTION: Final = "Oi! Qual é o prazo de entrega para capitais?"
ORDER: Final = "Boa tarde, onde está o meu pedido 1001?"
WANTS_PERSON: Final = "Quero falar com um atendente, por favor."
REPLY: Final = "Olá, aqui é a Marina, da Loja Aurora. Como posso ajudar?"
THANKS: Final = "Obrigado! Era só isso."


@dataclass(slots=True, kw_only=True)
class Scene:
    """The scene while it is played.

    Attributes:
        world: Where webhooks go.
        watch: What is on the topics.
        people: Speaks to the people's API.
        clock: Tells the time.
        run: Name of the run.
        posts: What was posted, in the order of posting.
        missing: What should have happened and did not.
    """

    world: Outside
    watch: Watch
    people: People
    clock: Clock
    run: str
    posts: list[Post] = field(default_factory=list)
    missing: list[Violation] = field(default_factory=list)

    async def play(self) -> None:
        """Let all three write at once."""
        await asyncio.gather(self._asks(), self._orders(), self._wants_person())

    async def _say(
        self, name: str, text: str, kinds: frozenset[OutcomeKind], sequence: int = 1
    ) -> str:
        """Post what a customer writes; return its conversation once it has an outcome."""
        post = customer(name, self.run).says(text, sequence, kinds, self.clock.now_ms())
        self.posts.append(post)
        await self.world.post(post.body)
        wamid = post.sent[0].wamid
        conversation = await self.watch.until(lambda records: _ended(records, wamid), PATIENCE_S)
        if conversation is None:
            self.missing.append(Violation("scene", wamid, f"no outcome within {PATIENCE_S:.0f} s"))
        return conversation or ""

    async def _asks(self) -> None:
        conversation = await self._say("Ana", QUESTION, ANSWERED)
        self._must(
            any(
                isinstance(r.event, ResponseGenerated) and r.event.citations
                for r in self._of(conversation)
            ),
            conversation,
            "the answer names no passage",
        )

    async def _orders(self) -> None:
        conversation = await self._say("Bruno", ORDER, ANSWERED)
        self._must(
            any(
                isinstance(r.event, ToolCallCompleted) and r.event.ok
                for r in self._of(conversation)
            ),
            conversation,
            "no tool was asked for the order",
        )

    async def _wants_person(self) -> None:
        conversation = await self._say("Carla", WANTS_PERSON, HANDED)
        if not conversation:
            return
        await self.people.take_over(conversation)
        await self.people.reply(conversation, REPLY, f"demo-{self.run}")
        sent = await self.watch.until(lambda records: _replied(records, conversation), PATIENCE_S)
        self._must(sent is True, conversation, "the person's reply was not sent")
        await self._say("Carla", THANKS, HANDED, sequence=2)

    def _of(self, conversation: str) -> list[Recorded]:
        return [r for r in self.watch.records if r.event.conversation_id == conversation]

    def _must(self, holds: bool, about: str, otherwise: str) -> None:
        if about and not holds:
            self.missing.append(Violation("scene", about, otherwise))


def _ended(records: Sequence[Recorded], wamid: str) -> str | None:
    """Return the conversation in which a message got its outcome."""
    for record in reversed(records):
        event = record.event
        if isinstance(event, ConversationChanged) and any(
            outcome.wamid == wamid for outcome in event.outcomes
        ):
            return event.conversation_id
    return None


def _replied(records: Sequence[Recorded], conversation: str) -> bool | None:
    """Return True once a person's bubble was accepted."""
    human = {
        record.event.bubble_id
        for record in records
        if isinstance(record.event, OutboundRequested)
        and record.event.author is Author.HUMAN
        and record.event.conversation_id == conversation
    }
    for record in records:
        event = record.event
        if isinstance(event, OutboundSettled) and event.bubble_id in human:
            return event.state is BubbleState.ACCEPTED
    return None


def received_at(records: Sequence[Recorded], wamid: str) -> Recorded | None:
    """Return the record of a message."""
    for record in records:
        if isinstance(record.event, MessageReceived) and record.event.wamid == wamid:
            return record
    return None
