"""What is sent to WhatsApp, and what became of it."""

from __future__ import annotations

from enum import StrEnum

from schemas.events.envelope import Envelope, Millis
from schemas.events.inbox import Person


class OutboundKind(StrEnum):
    """What dispatch asks of the gate, and what the gate tells besides."""

    UNKNOWN = "unknown"
    MESSAGE = "message"
    MARKER = "marker"
    READ = "read"
    REPORT = "report"


class Author(StrEnum):
    """Who speaks; a takeover silences the AI, never a person."""

    UNKNOWN = "unknown"
    AI = "ai"
    HUMAN = "human"
    AUTOMATION = "automation"


class BubbleState(StrEnum):
    """Where a bubble stands at the gate."""

    UNKNOWN_SYMBOL = "unknown_symbol"
    PLANNED = "planned"
    SENDING = "sending"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    FAILED = "failed"
    DROPPED = "dropped"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    PLAYED = "played"
    APPLIED = "applied"


class OutboundRequested(Envelope, frozen=True, kw_only=True):
    """One bubble to send, or a marker that raises the gate's epoch.

    Attributes:
        kind: ``message``, ``marker`` of a takeover, release or pause, or ``read``: show the
            customer that a message was read and an answer is being written.
        bubble_id: UUID of the bubble, marker or receipt.
        turn_id: The turn that it answers, if it does.
        epoch: Epoch of the conversation; a marker raises the gate to it.
        author: Who speaks.
        ordinal: Place among the bubbles of one answer, from 1.
        of: Number of bubbles of that answer.
        phone_number_id: The business number to send from.
        recipient: The customer to send to.
        text: What to send; null in a marker.
        reply_to_wamid: The customer's message to quote, if any.
        window_expires_at: End of WhatsApp's 24 h service window, as dispatch knows it.
        reason: Why a marker was made, as a short code.
        read_wamid: The customer's message that was read, and with it all before it; null in a
            ``read`` by which no answer is being written any more.
    """

    kind: OutboundKind
    bubble_id: str
    turn_id: str | None = None
    epoch: int
    author: Author
    ordinal: int = 1
    of: int = 1
    phone_number_id: str
    recipient: Person
    text: str | None = None
    reply_to_wamid: str | None = None
    window_expires_at: Millis | None = None
    reason: str = ""
    read_wamid: str | None = None


class OutboundUpdated(Envelope, frozen=True, kw_only=True):
    """One change of a bubble's state.

    Attributes:
        bubble_id: The bubble or marker.
        turn_id: The turn that it answers, if it does.
        epoch: Epoch of the bubble.
        author: Who speaks.
        kind: ``message`` or ``marker``.
        state: Where it stands now.
        attempt: Number of the attempt, from 1; 0 before the first.
        wamid: WhatsApp's id, once accepted.
        text: What was sent; only in the first record of a bubble.
        error_code: WhatsApp's error code; 0 is none.
        reason: Why, as a short code, such as ``stale_epoch`` or ``window_closed``.
        requested_at: When dispatch asked for it.
        posted_at: When the request was written to WhatsApp.
        phone_number_id: The business number.
    """

    bubble_id: str
    turn_id: str | None = None
    epoch: int
    author: Author
    kind: OutboundKind
    state: BubbleState
    attempt: int = 0
    wamid: str | None = None
    text: str | None = None
    error_code: int = 0
    reason: str = ""
    requested_at: Millis | None = None
    posted_at: Millis | None = None
    phone_number_id: str = ""


class OutboundSettled(Envelope, frozen=True, kw_only=True):
    """How a bubble or marker ended at the gate; once for each.

    Attributes:
        bubble_id: The bubble or marker.
        turn_id: The turn that it answers, if it does.
        epoch: Epoch of the bubble.
        author: Who speaks.
        kind: ``message``, ``marker``, or ``report``: WhatsApp says that it did not deliver a
            part of an answer that it had accepted; once for each answer, after the bubble's end.
        state: ``accepted``, ``failed``, ``dropped``, ``unknown`` (to a person) or ``applied``.
        wamid: WhatsApp's id, once accepted.
        error_code: WhatsApp's error code; 0 is none.
        reason: Why, as a short code.
    """

    bubble_id: str
    turn_id: str | None = None
    epoch: int
    author: Author
    kind: OutboundKind
    state: BubbleState
    wamid: str | None = None
    error_code: int = 0
    reason: str = ""
