"""The gate's state of one conversation: its bubbles, in order, and what became of them.

Rule 1: bubbles go out in the order in which dispatch asked for them; one that waits holds back
those behind it, whatever it waits for.
Rule 2: after a marker no AI bubble of an older epoch is sent.
Rule 3: every bubble and marker is settled exactly once.
Rule 4: an attempt is posted at most once. A result that is not known is never posted
again: a status decides it, or its cap, and then a person does.

``sending`` is never stored: a POST runs inside the handling of one event, and its claim
row in Postgres is what a repetition of that event finds.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

from schemas.changing import replace
from schemas.events import Author, BubbleState, DeliveryStatus, StatusReceived

KEPT_BUBBLES: Final = 50
"""Settled bubbles that are kept so that their statuses find them."""

QUEUE_BUBBLES: Final = 100
QUEUE_CHARS: Final = 60_000
"""What may wait to be sent in one conversation."""


class Bubble(Struct, frozen=True, kw_only=True):
    """One bubble at the gate.

    Attributes:
        bubble_id: UUID of the bubble.
        turn_id: The turn that it answers, if it does.
        epoch: Epoch of the conversation when it was asked for.
        author: Who speaks.
        phone_number_id: The business number to send from.
        wa_id: The recipient's WhatsApp id.
        user_id: The recipient's business-scoped user id.
        text: What to send; forgotten once it is settled.
        reply_to_wamid: The message to quote.
        window_expires_ms: End of the 24 h window, as dispatch knew it.
        requested_ms: When dispatch asked for it.
        trace_id: The trace that it belongs to.
        state: ``planned``, ``accepted``, ``unknown``, ``failed`` or ``dropped``.
        attempt: Number of the newest attempt; 0 before the first.
        posted_ms: When the newest attempt was written; 0 before the first.
        wamid: WhatsApp's id, once known.
        statuses: What WhatsApp reported -> when, by its clock.
        error_code: WhatsApp's error code of the newest refusal.
        reason: Why, as a short code.
        settled: True once its end was told to dispatch.
        ordinal: Place among the bubbles of its answer, from 1.
        refusals: How often it was refused and is tried again, times of a stopped channel apart.
        template: True when it must go as a template, because the 24 h window is closed; until the
            customer has written again.
    """

    bubble_id: str
    turn_id: str | None
    epoch: int
    author: Author
    phone_number_id: str
    wa_id: str | None
    user_id: str | None
    text: str | None
    reply_to_wamid: str | None
    window_expires_ms: int | None
    requested_ms: int
    trace_id: str
    state: BubbleState = BubbleState.PLANNED
    attempt: int = 0
    posted_ms: int = 0
    wamid: str | None = None
    statuses: dict[str, int] = field(default_factory=dict)
    error_code: int = 0
    reason: str = ""
    settled: bool = False
    ordinal: int = 1
    refusals: int = 0
    template: bool = False

    @property
    def waits(self) -> bool:
        """True while it is still to be sent."""
        return self.state is BubbleState.PLANNED and not self.settled

    @property
    def shown(self) -> BubbleState:
        """What a person should see: the highest rank of all that is known."""
        known = (_SHOWN[status] for status in self.statuses if status in _SHOWN)
        return max((self.state, *known), key=_RANKS.__getitem__)


class Typing(Struct, frozen=True, kw_only=True):
    """An answer that is being written; the customer sees it until ``until_ms``.

    Attributes:
        phone_number_id: The business number.
        wamid: The newest message that it answers.
        until_ms: When it is not shown again.
    """

    phone_number_id: str
    wamid: str
    until_ms: int


class Pair(Struct, frozen=True, kw_only=True):
    """The newest burst of messages to one customer; see ``agents.core.gate_waits``.

    Attributes:
        began_ms: When its first message was written.
        count: How many it has.
        paid_ms: When the next burst may begin.
    """

    began_ms: int = 0
    count: int = 0
    paid_ms: int = 0


class Gate(Struct, frozen=True, kw_only=True):
    """Everything that the gate knows of one conversation.

    Attributes:
        tenant_id: The company.
        conversation_id: The conversation.
        customer_id: The customer.
        seq: Number of the last step, from 1.
        timers: Due time of ``next``, of ``typing``, of what a bubble waits for
            (``agents.core.gate_waits``), and of ``unknown_cap:<bubble>``.
        epoch: Newest epoch seen in any request: an AI bubble that comes with an older one
            is dropped.
        floor: Epoch of the newest marker: what waits for an older one is dropped.
        window_expires_ms: Latest end of the 24 h window in any request.
        bubbles: Bubbles, oldest first.
        seen: Ids of bubbles and markers; see ``agents.core.seen``.
        pair: What was sent to the customer lately.
        typing: The answer that is being written, if the customer is to see that.
        early: Statuses of bubbles whose request has not come; see ``agents.core.gate_status``.
    """

    tenant_id: str
    conversation_id: str
    customer_id: str
    seq: int = 0
    timers: dict[str, int] = field(default_factory=dict)
    epoch: int = 0
    floor: int = 0
    window_expires_ms: int | None = None
    bubbles: tuple[Bubble, ...] = ()
    seen: dict[str, str] = field(default_factory=dict)
    pair: Pair = field(default_factory=Pair)
    typing: Typing | None = None
    early: tuple[StatusReceived, ...] = ()

    @property
    def head(self) -> Bubble | None:
        """The bubble whose turn it is."""
        return next((bubble for bubble in self.bubbles if bubble.waits), None)

    def find(self, bubble_id: str | None, wamid: str = "") -> Bubble | None:
        """Return a bubble by our id, else by WhatsApp's."""
        for bubble in self.bubbles:
            if bubble.bubble_id == bubble_id or (wamid and bubble.wamid == wamid):
                return bubble
        return None


_SHOWN: Final[dict[str, BubbleState]] = {
    DeliveryStatus.SENT: BubbleState.SENT,
    DeliveryStatus.DELIVERED: BubbleState.DELIVERED,
    DeliveryStatus.READ: BubbleState.READ,
    DeliveryStatus.PLAYED: BubbleState.PLAYED,
    DeliveryStatus.FAILED: BubbleState.FAILED,
}
_RANKS: Final[dict[BubbleState, int]] = {
    BubbleState.UNKNOWN_SYMBOL: 0,
    BubbleState.PLANNED: 1,
    BubbleState.SENDING: 2,
    BubbleState.UNKNOWN: 3,
    BubbleState.DROPPED: 4,
    BubbleState.APPLIED: 4,
    BubbleState.ACCEPTED: 5,
    BubbleState.SENT: 6,
    # With several devices "delivered" may follow "failed" and the other way round:
    # having reached one of them is what counts.
    BubbleState.FAILED: 7,
    BubbleState.DELIVERED: 8,
    BubbleState.READ: 9,
    BubbleState.PLAYED: 10,
}
"""Source: WhatsApp Cloud API, "Status messages"; their order is not guaranteed."""


def merged(bubble: Bubble, status: DeliveryStatus, at_ms: int) -> Bubble:
    """Return the bubble with one more status; the order of statuses does not matter."""
    earliest = min(at_ms, bubble.statuses.get(status, at_ms))
    statuses = {**bubble.statuses, str(status): earliest}
    return replace(bubble, statuses=dict(sorted(statuses.items())))


def trimmed(bubbles: tuple[Bubble, ...]) -> tuple[Bubble, ...]:
    """Forget the oldest settled bubbles beyond the number that is kept."""
    excess = sum(bubble.settled for bubble in bubbles) - KEPT_BUBBLES
    kept = []
    for bubble in bubbles:
        if bubble.settled and excess > 0:
            excess -= 1
        else:
            kept.append(bubble)
    return tuple(kept)
