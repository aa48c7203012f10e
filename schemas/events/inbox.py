"""What enters the log: customers' messages, statuses, people's replies and commands."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from schemas.events.envelope import Envelope, Millis


class MessageKind(StrEnum):
    """WhatsApp's message types; what we do not know is ``unsupported``, never an error."""

    UNKNOWN = "unknown"
    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"
    STICKER = "sticker"
    LOCATION = "location"
    CONTACTS = "contacts"
    ORDER = "order"
    INTERACTIVE = "interactive"
    BUTTON = "button"
    REACTION = "reaction"
    EDIT = "edit"
    REVOKE = "revoke"
    SYSTEM = "system"
    UNSUPPORTED = "unsupported"


class DeliveryStatus(StrEnum):
    """What became of a message that we sent, as WhatsApp reports it."""

    UNKNOWN = "unknown"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    PLAYED = "played"
    FAILED = "failed"
    DELETED = "deleted"
    WARNING = "warning"


class ReplyOrigin(StrEnum):
    """Where a person typed a reply."""

    UNKNOWN = "unknown"
    CONSOLE = "console"
    PHONE_APP = "phone_app"


class Command(StrEnum):
    """What a person or an operator asks of a conversation."""

    UNKNOWN = "unknown"
    TAKEOVER = "takeover"
    RELEASE = "release"
    PAUSE = "pause"
    CLOSE = "close"
    UNPARK = "unpark"
    TAG = "tag"
    UNTAG = "untag"


class Media(Struct, frozen=True, kw_only=True):
    """A file at WhatsApp, by reference.

    Attributes:
        media_id: Id to fetch it with; valid 7 days.
        mime_type: As WhatsApp says it.
        sha256: Base64 digest of the file, when given.
        filename: Name of a document.
        voice: True for a voice note, false for another audio file.
    """

    media_id: str
    mime_type: str | None = None
    sha256: str | None = None
    filename: str | None = None
    voice: bool = False


class Person(Struct, frozen=True, kw_only=True):
    """How WhatsApp names a customer; at least one of the two ids is set.

    Attributes:
        wa_id: WhatsApp id, digits of a phone number.
        user_id: Business-scoped user id, such as ``BR.13491208655302741918``.
        name: Profile name, as the customer chose it; never an identity.
    """

    wa_id: str | None = None
    user_id: str | None = None
    name: str | None = None


class MessageReceived(Envelope, frozen=True, kw_only=True):
    """A customer's message; one record for each message of a webhook body.

    Attributes:
        phone_number_id: The business number that received it.
        wamid: WhatsApp's message id; unique within the business number.
        kind: Type of the message.
        text: Text of the message, caption of a file, title of a button or list row, or null.
        media: The file of the message, if it has one.
        sender: The customer.
        reply_to_wamid: The message that this one quotes.
        target_wamid: The message that a reaction, edit or revoke is about.
        reaction: The emoji; empty when the reaction was removed.
        button_id: Id of the button or list row that was chosen.
        answerable: False for history follow-ups and system notices: kept, never answered.
        sent_at: WhatsApp's timestamp; data only, may be wrong.
        raw: The message object as WhatsApp sent it (JSON), unless it is stored by reference.
        raw_ref: Name of the stored message object when it is larger than 256 KiB.
        raw_sha256: SHA-256 of the message object, hex.
    """

    phone_number_id: str
    wamid: str
    kind: MessageKind
    text: str | None = None
    media: Media | None = None
    sender: Person
    reply_to_wamid: str | None = None
    target_wamid: str | None = None
    reaction: str | None = None
    button_id: str | None = None
    answerable: bool = True
    sent_at: Millis
    raw: str | None = None
    raw_ref: str | None = None
    raw_sha256: str = ""


class StatusReceived(Envelope, frozen=True, kw_only=True):
    """What WhatsApp says became of a message that we sent.

    Attributes:
        phone_number_id: The business number that sent it.
        wamid: WhatsApp's id of the message.
        status: What became of it.
        bubble_id: Our id of the message, when WhatsApp gave our callback data back.
        attempt: Our number of the attempt, from the callback data; 0 when unknown.
        status_at: WhatsApp's timestamp.
        error_code: WhatsApp's error code of a failure; 0 is none.
        error_title: WhatsApp's title of that error.
        billable: Whether WhatsApp bills it, when it said so.
        pricing_category: WhatsApp's pricing category.
        raw: The status object as WhatsApp sent it (JSON).
    """

    phone_number_id: str
    wamid: str
    status: DeliveryStatus
    bubble_id: str | None = None
    attempt: int = 0
    status_at: Millis
    error_code: int = 0
    error_title: str | None = None
    billable: bool | None = None
    pricing_category: str | None = None
    raw: str | None = None


class HumanReplied(Envelope, frozen=True, kw_only=True):
    """A person of the company answered.

    Attributes:
        phone_number_id: The business number.
        origin: ``console`` replies are sent by us; ``phone_app`` echoes were sent already.
        reply_id: Id of the reply: the client's idempotency key, or the echo's wamid.
        agent_user: Id of the person in the helpdesk; null for an echo.
        kind: Type of the message.
        text: The text.
        wamid: WhatsApp's id of an echo.
        recipient: The customer, as named in an echo or known to the API; null when neither knows.
        raw: The echo as WhatsApp sent it (JSON).
    """

    phone_number_id: str
    origin: ReplyOrigin
    reply_id: str
    agent_user: str | None = None
    kind: MessageKind = MessageKind.TEXT
    text: str | None = None
    wamid: str | None = None
    recipient: Person | None = None
    raw: str | None = None


class ControlRequested(Envelope, frozen=True, kw_only=True):
    """A person or an operator asks something of a conversation.

    Attributes:
        command: What is asked.
        request_id: The client's idempotency key.
        agent_user: Id of the person in the helpdesk.
        reason: Why, as a short code.
        until: End of a pause; null is until released.
        tag: The helpdesk's tag that was put on the conversation or taken off it; else empty.
    """

    command: Command
    request_id: str
    agent_user: str | None = None
    reason: str = ""
    until: Millis | None = None
    tag: str = ""
