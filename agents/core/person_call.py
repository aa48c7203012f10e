"""A conversation that a stage behind dispatch had to park: dispatch gives it to a person.

Nothing more is heard from that stage, so nobody would answer: a turn would only time out, and
a bubble would never settle.
"""

from __future__ import annotations

from typing import Final

from schemas.events import Command, ControlRequested, Envelope
from schemas.ids import derived
from schemas.topics import CONTROL_REQUESTED

REASON: Final = "parked_by:"
"""How the reasons of these requests begin, and no others."""


def by_a_stage(request: ControlRequested) -> bool:
    """Say whether no person has asked for this."""
    return request.reason.startswith(REASON)


def call_person(event: Envelope, *, stage: str, parking_id: str, now_ms: int) -> ControlRequested:
    """Return the request of a takeover by nobody in particular; one for each parking.

    Args:
        event: The event that parked the conversation.
        stage: The stage that parked it.
        parking_id: Id of the parking: a repetition asks the same again.
        now_ms: Time of the request, Unix milliseconds.
    """
    request_id = f"parked:{stage}:{parking_id}"
    return ControlRequested(
        event=CONTROL_REQUESTED.name,
        event_id=derived(event.conversation_id, request_id),
        trace_id=event.trace_id,
        tenant_id=event.tenant_id,
        conversation_id=event.conversation_id,
        customer_id=event.customer_id,
        idempotency_key=request_id,
        occurred_at=now_ms,
        command=Command.TAKEOVER,
        request_id=request_id,
        reason=f"{REASON}{stage}",
    )
