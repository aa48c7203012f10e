"""Drafts and where they belong, put together to the events of the log; pure.

The ids follow from what WhatsApp delivered, so a delivery that is repeated gives the same
events: ``(phone_number_id, wamid)`` names a message, never the wamid alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from schemas.events import HumanReplied, MessageReceived, ReplyOrigin, StatusReceived
from schemas.ids import derived, trace
from schemas.topics import HUMAN_REPLIED, MESSAGE_RECEIVED, STATUS_RECEIVED
from streams.whatsapp.callback import Callback
from streams.whatsapp.parts import Echo, Message, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """Where a part belongs.

    Attributes:
        tenant_id: The company.
        phone_number_id: The business number.
        conversation_id: The conversation.
        customer_id: The customer.
        now_ms: When we received it, Unix milliseconds.
    """

    tenant_id: str
    phone_number_id: str
    conversation_id: str
    customer_id: str
    now_ms: int


def message_received(part: Message, at: Belonging, *, by_reference: bool) -> MessageReceived:
    """Return the event of a customer's message.

    Args:
        part: The message.
        at: Where it belongs.
        by_reference: The raw message is stored outside the log, under its hash.
    """
    said = part.content
    sha256 = hashlib.sha256(part.raw).hexdigest()
    return MessageReceived(
        event=MESSAGE_RECEIVED.name,
        event_id=derived("message", at.phone_number_id, part.wamid),
        trace_id=trace("message", at.phone_number_id, part.wamid),
        tenant_id=at.tenant_id,
        conversation_id=at.conversation_id,
        customer_id=at.customer_id,
        idempotency_key=f"{at.phone_number_id}:{part.wamid}",
        occurred_at=at.now_ms,
        phone_number_id=at.phone_number_id,
        wamid=part.wamid,
        kind=said.kind,
        text=said.text,
        media=said.media,
        sender=part.sender,
        reply_to_wamid=part.reply_to_wamid,
        target_wamid=said.target_wamid,
        reaction=said.reaction,
        button_id=said.button_id,
        answerable=part.answerable,
        sent_at=at.now_ms if part.sent_at is None else part.sent_at,
        raw=None if by_reference else part.raw.decode(),
        raw_ref=sha256 if by_reference else None,
        raw_sha256=sha256,
    )


def status_received(part: Status, at: Belonging, callback: Callback | None) -> StatusReceived:
    """Return the event of a status; one for each (message, status, time, group member)."""
    named = (at.phone_number_id, part.wamid, part.status, part.status_at or 0)
    told = (*named, part.participant or "", part.error_code)
    return StatusReceived(
        event=STATUS_RECEIVED.name,
        event_id=derived("status", *told),
        trace_id=trace("message", at.phone_number_id, part.wamid),
        tenant_id=at.tenant_id,
        conversation_id=at.conversation_id,
        customer_id=at.customer_id,
        idempotency_key=":".join(map(str, named)),
        occurred_at=at.now_ms,
        phone_number_id=at.phone_number_id,
        wamid=part.wamid,
        status=part.status,
        bubble_id=callback.bubble_id if callback else None,
        attempt=callback.attempt if callback else 0,
        status_at=at.now_ms if part.status_at is None else part.status_at,
        error_code=part.error_code,
        error_title=part.error_title,
        billable=part.billable,
        pricing_category=part.pricing_category,
        raw=part.raw.decode(),
    )


def human_replied(part: Echo, at: Belonging) -> HumanReplied:
    """Return the event of a message that a person sent from the phone app."""
    return HumanReplied(
        event=HUMAN_REPLIED.name,
        event_id=derived("echo", at.phone_number_id, part.wamid),
        trace_id=trace("message", at.phone_number_id, part.wamid),
        tenant_id=at.tenant_id,
        conversation_id=at.conversation_id,
        customer_id=at.customer_id,
        idempotency_key=f"{at.phone_number_id}:{part.wamid}",
        occurred_at=at.now_ms,
        phone_number_id=at.phone_number_id,
        origin=ReplyOrigin.PHONE_APP,
        reply_id=part.wamid,
        kind=part.content.kind,
        text=part.content.text,
        wamid=part.wamid,
        recipient=part.recipient,
        raw=part.raw.decode(),
    )
