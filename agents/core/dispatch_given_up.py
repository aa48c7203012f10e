"""Events that dispatch does not decide: given up, set aside behind such a one, or dropped.

Rule 1: a message that is set aside has the outcome ``parked`` until it comes back or is
dropped; what it then ends as is its one real outcome.
Rule 2: the first event that is given up calls a person, so that the customer is not left
silent; those behind it do not call again.
Rule 3: what a person wrote goes out all the same. Its bubbles have the ids that the decision
will give them, so the gate knows them when the reply comes back.
"""

from __future__ import annotations

from agents.core import seen
from agents.core.conversation import Conversation, Trigger, allows
from agents.core.dispatch_messages import window_end
from agents.core.dispatch_people import hand_over
from agents.core.dispatch_settled import note_end
from agents.core.dispatch_step import Step, opened
from agents.core.naturals import aside_id, natural_id
from agents.core.texts import split
from schemas.events import (
    Author,
    Event,
    HumanReplied,
    MessageKind,
    MessageReceived,
    OutboundSettled,
    OutcomeKind,
    Phase,
    Position,
    ReplyOrigin,
    SettingsChanged,
    TimerFired,
)

Said = tuple[Conversation, tuple[Event, ...]]

UNSAID = (MessageKind.EDIT, MessageKind.REVOKE, MessageKind.REACTION)


def given_up(  # noqa: PLR0913 - what the shell looked up, keyword-only
    state: Conversation | None,
    event: Event,
    *,
    source: Position,
    now_ms: int,
    settings: SettingsChanged | None,
    reason: str,
    repeated: bool = False,
) -> Said:
    """Say what becomes of a conversation whose event went to the dead letters.

    The message, if it is one, is parked; whatever waits is given to a person.

    Args:
        state: The conversation before; None when this is its first event.
        event: The event that is given up.
        source: Where it stands in the log.
        now_ms: Time of the decision, Unix milliseconds.
        settings: Settings of the tenant.
        reason: Why it is given up, as a short code.
        repeated: True when an id of it (``natural_id``, ``aside_id``) is among those that left
            the state. Those that leave it in this step (``seen.leaving``) must be kept before.

    Returns:
        The conversation after it, and what dispatch says, in order.

    Raises:
        Rejected: The event belongs to another conversation: nothing is said about it.
    """
    step = opened(state, event, source=source, now_ms=now_ms, settings=settings, repeated=repeated)
    code = f"given_up:{reason}"
    if isinstance(event, MessageReceived):
        _park(step, event, code)
    if allows(step.state.phase, Trigger.HAND):
        hand_over(step, code)
    else:
        step.decided("given_up", code)
    _speak(step, event)
    return step.finish()


def behind(  # noqa: PLR0913 - what the shell looked up, keyword-only
    state: Conversation | None,
    event: Event,
    *,
    source: Position,
    now_ms: int,
    settings: SettingsChanged | None,
    reason: str,
    repeated: bool = False,
) -> Said:
    """Say of an event that it waits behind one that was given up; arguments as ``given_up``."""
    step = opened(state, event, source=source, now_ms=now_ms, settings=settings, repeated=repeated)
    if isinstance(event, MessageReceived):
        _park(step, event, reason)
    step.decided("parked", reason)
    _speak(step, event)
    return step.finish()


def dropped(  # noqa: PLR0913 - what the shell looked up, keyword-only
    state: Conversation | None,
    event: Event,
    *,
    source: Position,
    now_ms: int,
    settings: SettingsChanged | None,
    reason: str,
    repeated: bool = False,
) -> Said:
    """Give a parked event its end without deciding it; arguments as ``given_up``."""
    step = opened(state, event, source=source, now_ms=now_ms, settings=settings, repeated=repeated)
    if isinstance(event, MessageReceived) and step.first_time(natural_id(event)):
        step.outcome(event.wamid, OutcomeKind.IGNORED, reason)
    elif isinstance(event, OutboundSettled):
        note_end(step, event)  # it has ended at the gate, whatever is done about it here
    elif isinstance(event, TimerFired) and step.state.phase is Phase.WITH_HUMAN:
        _lapse(step, event, reason)
    step.decided("dropped", reason)
    return step.finish()


def _lapse(step: Step, event: TimerFired, reason: str) -> None:
    """Let a timer not fire again; what waited for it is the person's. The AI's own go on."""
    if step.state.timers.get(event.timer) == event.due_at:
        step.disarm(event.timer)
        step.ended(step.state.pending, OutcomeKind.HANDED, reason)
        step.change(pending=())


def _park(step: Step, event: MessageReceived, code: str) -> None:
    """Give a message the outcome that lasts until it comes back; a repetition gets none.

    The message itself is not remembered as seen: it is still to be decided.
    """
    if not (step.state.person.wa_id or step.state.person.user_id):
        step.change(person=event.sender, phone_number_id=event.phone_number_id)
    # a person may answer meanwhile, as long as WhatsApp lets them
    step.change(window_expires_ms=window_end(step.state, event))
    if not _known(step, event) and step.first_time(aside_id(event)):
        step.outcome(event.wamid, OutcomeKind.PARKED, code)


def _known(step: Step, event: Event) -> bool:
    """Say whether an event was acted on before."""
    natural = natural_id(event)
    return natural is not None and (step.repeated or seen.knows(step.state.seen, natural))


def _speak(step: Step, event: Event) -> None:
    """Let a person's words reach the customer, if it is known who that is."""
    if not isinstance(event, HumanReplied) or event.kind in UNSAID:
        return
    if event.origin is not ReplyOrigin.CONSOLE or _known(step, event):
        return
    if not (step.state.person.wa_id or step.state.person.user_id):
        if event.recipient is None:
            return
        step.change(person=event.recipient)
    step.change(phone_number_id=step.state.phone_number_id or event.phone_number_id)
    parts = split(event.text or "")
    step.say(Author.HUMAN, parts, "reply", event.conversation_id, event.reply_id)
