"""Events to rows of the transcript: pure, one event at a time.

Each row names the statement of ``sql/queries/transcripts.sql`` that merges it.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Final

import msgspec

from schemas.errors import Rejected
from schemas.events import (
    BubbleState,
    ConversationChanged,
    Event,
    HumanReplied,
    MessageReceived,
    OutboundKind,
    OutboundUpdated,
    Person,
    Phase,
    ReplyOrigin,
)
from schemas.ids import is_pushed

Row = dict[str, Any]
Merge = tuple[str, Row]
"""Name of a statement and one row for it."""

RANKS: Final = MappingProxyType(
    {
        BubbleState.UNKNOWN_SYMBOL: 0,
        BubbleState.PLANNED: 1,
        BubbleState.SENDING: 2,
        BubbleState.UNKNOWN: 3,
        BubbleState.DROPPED: 3,
        BubbleState.ACCEPTED: 4,
        BubbleState.SENT: 5,
        BubbleState.FAILED: 6,
        BubbleState.DELIVERED: 7,
        BubbleState.READ: 8,
        BubbleState.PLAYED: 9,
        BubbleState.APPLIED: 11,
    }
)
"""Order of a bubble's states within one attempt; the highest stays. WhatsApp may report a
failure after it accepted, but not after the phone has the message. It may also have taken what it
refused as being unwell, and what we then dropped: its status says so.
"""

STATE_RESET_MS: Final = 2 * 3_600_000
"""A step that was decided so much later wins over a higher number: the numbers began again.

Clocks of two workers may differ by an hour; a conversation whose state was lost starts at 1.
"""


def rows_of(event: Event) -> Iterator[Merge]:
    """Yield the rows of one event.

    Raises:
        Rejected: ``wrong_record``: the record does not belong in a transcript.
    """
    match event:
        case MessageReceived():
            yield from _seen(event, event.phone_number_id)
            yield from _received(event)
        case HumanReplied():
            yield from _seen(event, event.phone_number_id)
            yield from _replied(event)
        case OutboundUpdated():
            yield from _seen(event, event.phone_number_id)
            if event.kind is not OutboundKind.MARKER:
                yield from _sent(event)
        case ConversationChanged():
            yield from _seen(event, event.phone_number_id)
            yield from _changed(event)
        case _:
            raise Rejected("wrong_record", f"{type(event).__name__} has no place in a transcript")


def newer(row: Row, stored: Row) -> bool:
    """Tell whether a state row replaces another one; the statement ``states`` has the same rule."""
    return bool(
        row["seq"] > stored["seq"] or row["decided_ms"] > stored["decided_ms"] + STATE_RESET_MS
    )


def _here(event: Event) -> Row:
    return {"tenant_id": event.tenant_id, "conversation_id": event.conversation_id}


def _seen(event: Event, phone_number_id: str) -> Iterator[Merge]:
    customer_id = event.customer_id
    yield "contacts_missing", {"tenant_id": event.tenant_id, "customer_id": customer_id}
    yield (
        "conversations_seen",
        _here(event) | {"customer_id": customer_id, "phone_number_id": phone_number_id},
    )


def _named(event: Event, person: Person, *, known: bool = True) -> Merge:
    """Return what a customer is called; what is not ``known`` stands where nothing else does.

    So it is with what another system says, and with whom we sent a reply to: that was read from
    these very rows, maybe before they had the newest message.
    """
    return "contacts_named", {
        "tenant_id": event.tenant_id,
        "customer_id": event.customer_id,
        "name": person.name or "",
        "wa_id": person.wa_id or "",
        "user_id": person.user_id or "",
        "at_ms": event.occurred_at if known else 0,
    }


def _received(event: MessageReceived) -> Iterator[Merge]:
    yield _named(event, event.sender, known=not is_pushed(event.wamid))
    yield (
        "messages_received",
        _here(event)
        | {
            "id": event.wamid,
            "from_me": False,
            "author": "customer",
            "kind": event.kind.value,
            "body": event.text if event.reaction is None else event.reaction,
            "media": msgspec.to_builtins(event.media),
            "reply_to_wamid": event.reply_to_wamid,
            "target_wamid": event.target_wamid,
            "trace_id": event.trace_id,
            "at_ms": event.occurred_at,
        },
    )


def _replied(event: HumanReplied) -> Iterator[Merge]:
    if event.recipient is not None:
        yield _named(event, event.recipient, known=event.origin is ReplyOrigin.PHONE_APP)
    if event.origin is ReplyOrigin.PHONE_APP:
        yield (
            "messages_received",
            _here(event)
            | {
                "id": event.wamid or event.reply_id,
                "from_me": True,
                "author": "human",
                "kind": event.kind.value,
                "body": event.text,
                "trace_id": event.trace_id,
                "at_ms": event.occurred_at,
            },
        )
        return
    yield (
        "replies",
        _here(event)
        | {
            "event_id": event.event_id,
            "trace_id": event.trace_id,
            "agent_user": event.agent_user,
            "body": event.text,
            "at_ms": event.occurred_at,
        },
    )


def _sent(event: OutboundUpdated) -> Iterator[Merge]:
    bubble = _here(event) | {
        "id": event.bubble_id,
        "state": event.state.value,
        "attempt": event.attempt,
        "error_code": event.error_code,
        "reason": event.reason,
    }
    requested_ms = event.requested_at if event.requested_at is not None else event.occurred_at
    yield (
        "messages_sent",
        bubble
        | {
            "wamid": event.wamid,
            "author": event.author.value,
            "body": event.text,
            "turn_id": event.turn_id,
            "trace_id": event.trace_id,
            "at_ms": requested_ms,
            "state_rank": RANKS[event.state],
        },
    )
    yield "statuses", bubble | {"event_id": event.event_id, "status_ms": event.occurred_at}


def _stands(event: ConversationChanged) -> Row:
    return {
        "phase": event.phase.value,
        "agent_user": event.agent_user,
        "intent": event.intent,
        "takeover_pending": event.takeover_pending,
        "unread": event.unread,
        "window_expires_ms": event.window_expires_at,
    }


def _changed(event: ConversationChanged) -> Iterator[Merge]:
    step = _here(event) | {
        "seq": event.cause.seq if event.cause else 0,
        "decided_ms": event.cause.decided_at if event.cause else event.occurred_at,
        "epoch": event.epoch,
        "turn_seq": event.turn_seq,
        "owner": event.owner,
        "decision": event.decision,
        "reason": event.reason,
    }
    if step["seq"] > 0:
        yield "states", step | _stands(event)
    elif event.phase is Phase.WITH_HUMAN:  # outside the order: of its state only the call is true
        yield "called", step | _stands(event)
    if event.turn_id is not None:
        yield "turns", step | {"turn_id": event.turn_id}
    for outcome in event.outcomes:
        yield (
            "outcomes",
            step
            | {
                "phone_number_id": event.phone_number_id,
                "wamid": outcome.wamid,
                "outcome": outcome.kind.value,
                "reason": outcome.reason,
                "turn_id": outcome.turn_id,
            },
        )
