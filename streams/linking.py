"""Names that WhatsApp tells us when it takes a message lead to the same conversation.

Source: WhatsApp Cloud API, "Messages": ``contacts[].wa_id`` of the answer is the canonical id,
which may differ from the number that we asked for (Brazil, Mexico, business-scoped ids).
"""

from __future__ import annotations

from typing import Protocol

import structlog

from agents.ports import Accepted, Courier, Letter, Receipt
from schemas.errors import Unavailable
from schemas.events import Person
from streams.whatsapp.callback import read_callback
from streams.whatsapp.people import identifiers

log = structlog.get_logger(__name__)


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
                await self.people.link(
                    letter.tenant_id, letter.phone_number_id, told.conversation_id, name
                )
            except Unavailable as exc:  # the next message tells it again
                log.warning("identity.unlinked", service=exc.service)
