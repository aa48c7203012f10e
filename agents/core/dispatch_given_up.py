"""An event that dispatch cannot decide: its message ends as parked, and a person is called."""

from __future__ import annotations

from agents.core.conversation import Conversation, Trigger, allows
from agents.core.dispatch_people import hand_over
from agents.core.dispatch_step import Step
from schemas.events import (
    Event,
    MessageReceived,
    OutcomeKind,
    Position,
    SettingsChanged,
)


def given_up(
    state: Conversation | None,
    event: Event,
    *,
    source: Position,
    now_ms: int,
    settings: SettingsChanged | None,
    reason: str,
) -> tuple[Conversation, tuple[Event, ...]]:
    """Say what becomes of a conversation whose event went to the dead letters.

    The message, if it is one, gets its outcome; whatever waits is given to a person, so
    that the customer is not left silent.

    Args:
        state: The conversation before; None when this is its first event.
        event: The event that is given up.
        source: Where it stands in the log.
        now_ms: Time of the decision, Unix milliseconds.
        settings: Settings of the tenant.
        reason: Why it is given up, as a short code.

    Returns:
        The conversation after it, and what dispatch says, in order.
    """
    before = state or Conversation(
        tenant_id=event.tenant_id,
        conversation_id=event.conversation_id,
        customer_id=event.customer_id,
    )
    step = Step(before, event, source=source, now_ms=now_ms, settings=settings)
    code = f"given_up:{reason}"
    if isinstance(event, MessageReceived):
        if step.first_time(f"{event.phone_number_id}:{event.wamid}"):
            step.outcome(event.wamid, OutcomeKind.PARKED, code)
        if not (step.state.person.wa_id or step.state.person.user_id):
            step.change(person=event.sender, phone_number_id=event.phone_number_id)
    if allows(step.state.phase, Trigger.HAND):
        hand_over(step, code)
    else:
        step.decided("given_up", code)
    return step.finish()
