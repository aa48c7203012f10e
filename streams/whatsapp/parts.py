"""What a webhook body is made of: one part for each thing that it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.events import DeliveryStatus, Media, MessageKind, Person

Alone = Callable[[], bytes]
"""Makes a webhook body (JSON); only dead letters need one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a message says.

    Attributes:
        kind: Its type; ``unsupported`` when its own object is missing.
        text: Its words, if it has any.
        media: Its file, if it has one.
        target_wamid: The message that a reaction, edit or revoke is about.
        reaction: The emoji; empty when the reaction was removed.
        button_id: Id of the button or list row that was chosen.
    """

    kind: MessageKind
    text: str | None = None
    media: Media | None = None
    target_wamid: str | None = None
    reaction: str | None = None
    button_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Something that belongs to no conversation, or whose shape we do not know.

    Attributes:
        phone_number_id: The business number, when it is named.
        reason: Why it is kept apart, a short code.
        body: A webhook body that holds this part alone (JSON): it can be posted again.
    """

    phone_number_id: str | None
    reason: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A customer's message.

    Attributes:
        phone_number_id: The business number; None when the body does not name it.
        wamid: WhatsApp's id, or ``sha256:`` and the hash of the message when it has none.
        content: What it says.
        sender: The customer.
        identifiers: Names of the customer to look up, the best one first; may be empty.
        reply_to_wamid: The message that this one quotes.
        answerable: False for history and system notices.
        sent_at: WhatsApp's timestamp, Unix milliseconds.
        raw: The message object (JSON).
        alone: Makes a webhook body that holds this part alone (JSON).
    """

    phone_number_id: str | None
    wamid: str
    content: Content
    sender: Person
    identifiers: tuple[str, ...]
    reply_to_wamid: str | None
    answerable: bool
    sent_at: int | None
    raw: bytes
    alone: Alone = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What became of a message that we sent.

    Attributes:
        phone_number_id: The business number; None when the body does not name it.
        wamid: WhatsApp's id of the message.
        status: What became of it.
        callback: Our callback data, as it came back; untrusted.
        identifiers: Names of the recipient to look up; may be empty.
        participant: Which member of a group it is about.
        status_at: WhatsApp's timestamp, Unix milliseconds.
        error_code: WhatsApp's error code; 0 is none.
        error_title: WhatsApp's title of that error.
        billable: Whether WhatsApp bills it.
        pricing_category: WhatsApp's pricing category.
        raw: The status object (JSON).
        alone: Makes a webhook body that holds this part alone (JSON).
    """

    phone_number_id: str | None
    wamid: str
    status: DeliveryStatus
    callback: str | None
    identifiers: tuple[str, ...]
    participant: str | None
    status_at: int | None
    error_code: int
    error_title: str | None
    billable: bool | None
    pricing_category: str | None
    raw: bytes
    alone: Alone = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """A message that a person of the company sent from the WhatsApp Business app.

    Attributes:
        phone_number_id: The business number; None when the body does not name it.
        wamid: WhatsApp's id.
        content: What it says.
        recipient: The customer.
        identifiers: Names of the customer to look up; may be empty.
        sent_at: WhatsApp's timestamp, Unix milliseconds.
        raw: The echo object (JSON).
        alone: Makes a webhook body that holds this part alone (JSON).
    """

    phone_number_id: str | None
    wamid: str
    content: Content
    recipient: Person
    identifiers: tuple[str, ...]
    sent_at: int | None
    raw: bytes
    alone: Alone = field(compare=False, repr=False)


Part = Message | Status | Echo | Other
"""One thing that a webhook body tells."""
