"""What other systems push: their payloads, version 1, and the events that they become."""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from schemas.events import Command, ControlRequested, Event, MessageKind, MessageReceived, Person
from schemas.ids import PUSHED, derived, trace
from schemas.topics import CONTROL_REQUESTED, MESSAGE_RECEIVED
from streams.whatsapp.events import Belonging
from streams.whatsapp.fields import LAST_MS, NAME_CHARS, TEXT_CHARS
from streams.whatsapp.people import person

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
Code = Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9_.-]*$")]
Seconds = Annotated[int, Field(ge=0, le=LAST_MS // 1000)]


class _Payload(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Written(_Payload):
    """A customer's message that came by another way.

    Attributes:
        phone_number_id: The business number of the conversation.
        sender: The customer: a telephone number with country code, or a user id.
        id: The producer's own id of the message.
        text: What the customer wrote.
        timestamp: When, Unix seconds; the time of receipt unless given.
        name: Profile name; never an identity.
    """

    phone_number_id: Name
    sender: Name = Field(alias="from")
    id: Name
    text: str = Field(min_length=1, max_length=TEXT_CHARS, pattern=r"^[^\x00]+$")
    timestamp: Seconds | None = None
    name: str | None = Field(default=None, max_length=NAME_CHARS)


class Asked(_Payload):
    """Something that is asked of a conversation.

    Attributes:
        phone_number_id: The business number of the conversation.
        to: The customer: a telephone number with country code, or a user id.
        command: What is asked.
        agent_user: Id of the person in the helpdesk.
        reason: Why, as a short code.
        until: End of a pause, Unix seconds.
        tag: The helpdesk's tag, of the commands tag and untag.
    """

    phone_number_id: Name
    to: Name
    command: Literal["takeover", "release", "pause", "close", "unpark", "tag", "untag"]
    agent_user: Name | None = None
    reason: Code = ""
    until: Seconds | None = None
    tag: str = Field(default="", max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")


class MessagePush(_Payload):
    """A message to put into the conversation."""

    type: Literal["message.received"]
    data: Written


class ControlPush(_Payload):
    """A command to give to the conversation."""

    type: Literal["control.requested"]
    data: Asked


Push = MessagePush | ControlPush
"""Any payload of version 1, told apart by ``type``."""


def customer(push: Push) -> Person:
    """Return whom a push is about."""
    if isinstance(push, MessagePush):
        profile = {"name": push.data.name}
        return person(push.data.sender, profile=profile)
    return person(push.data.to)


def event_of(push: Push, at: Belonging, *, producer: str, webhook_id: str) -> Event:
    """Return the event of a push; a push that is repeated gives the same ids."""
    if isinstance(push, MessagePush):
        return _message(push, at, producer, webhook_id)
    asked = push.data
    return ControlRequested(
        event=CONTROL_REQUESTED.name,
        event_id=derived("producer", producer, webhook_id),
        trace_id=trace("producer", producer, webhook_id),
        tenant_id=at.tenant_id,
        conversation_id=at.conversation_id,
        customer_id=at.customer_id,
        idempotency_key=f"{producer}:{webhook_id}",
        occurred_at=at.now_ms,
        command=Command(asked.command),
        request_id=f"{producer}:{webhook_id}",
        agent_user=asked.agent_user,
        reason=asked.reason,
        until=None if asked.until is None else asked.until * 1000,
        tag=asked.tag,
    )


def _message(push: MessagePush, at: Belonging, producer: str, webhook_id: str) -> MessageReceived:
    written = push.data
    wamid = f"{PUSHED}{producer}:{written.id}"
    return MessageReceived(
        event=MESSAGE_RECEIVED.name,
        event_id=derived("producer", producer, webhook_id),
        trace_id=trace("producer", producer, webhook_id),
        tenant_id=at.tenant_id,
        conversation_id=at.conversation_id,
        customer_id=at.customer_id,
        idempotency_key=f"{at.phone_number_id}:{wamid}",
        occurred_at=at.now_ms,
        phone_number_id=at.phone_number_id,
        wamid=wamid,
        kind=MessageKind.TEXT,
        text=written.text,
        sender=customer(push),
        sent_at=at.now_ms if written.timestamp is None else written.timestamp * 1000,
        raw=orjson.dumps(push.model_dump(mode="json", by_alias=True)).decode(),
    )
