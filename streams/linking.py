"""Names that WhatsApp tells us when it takes a message lead to the same conversation.

Source: WhatsApp Cloud API, "Messages": ``contacts[].wa_id`` of the answer is the canonical id,
which may differ from the number that we asked for (Brazil, Mexico, business-scoped ids).
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog

from agents.ports import Accepted, Courier, Letter, Receipt
from schemas.events import Person
from streams.logs import place
from streams.whatsapp.callback import read_callback
from streams.whatsapp.people import identifiers

log = structlog.get_logger(__name__)

LINK_S: Final = 2.0
"""Longest that it may take: the result of the message is written down after it."""


class People(Protocol):
    """Keeps which name leads to which conversation (``sinks.identity.Identities``)."""

    async def link(
        self, tenant_id: str, phone_number_id: str, conversation_id: str, identifier: str, /
    ) -> None:
        """Let one more name lead to a conversation; a name that is known keeps its own."""


class LinkingCourier:
    """A courier that remembers the canonical id of a recipient; best effort."""

    def __init__(self, courier: Courier, people: People) -> None:
        self.courier = courier
        self.people = people

    async def post(self, letter: Letter, /, *, until_ms: int) -> Receipt:
        """Post one message, once; what is learned never changes the result."""
        receipt = await self.courier.post(letter, until_ms=until_ms)
        if isinstance(receipt, Accepted) and receipt.wa_id:
            await self._learn(letter, receipt.wa_id)
        return receipt

    async def _learn(self, letter: Letter, wa_id: str) -> None:
        known = identifiers(Person(wa_id=letter.wa_id, user_id=letter.user_id))
        told = read_callback(letter.callback_data, tenant_id=letter.tenant_id)
        if told is None:
            return
        for name in identifiers(Person(wa_id=wa_id)):
            if name in known:
                continue
            try:
                async with asyncio.timeout(LINK_S):
                    await self.people.link(
                        letter.tenant_id, letter.phone_number_id, told.conversation_id, name
                    )
            except Exception as exc:  # noqa: BLE001 - the message was taken, whatever fails here;
                # the next one tells it again
                log.warning("identity.unlinked", error=place(exc))
