"""Customers' messages: which ones want an answer, how a burst is gathered, the 24 h window."""

from __future__ import annotations

from typing import Final

from agents.core import rhythm
from agents.core.conversation import Conversation, Pending, Trigger
from agents.core.dispatch_amend import REVOKED, amended, as_changed, awaits_message, words_of
from agents.core.dispatch_burst import FLOOD, excess, open_burst
from agents.core.dispatch_people import attend, hand_over, park
from agents.core.dispatch_return import awaits_return
from agents.core.dispatch_step import Step, waiting
from agents.core.dispatch_turns import MAX_SUPERSEDED, begin, obstacle, supersede
from agents.core.naturals import natural_id
from agents.core.texts import MESSAGE_CHARS, PLACEHOLDERS, named, shortened
from schemas.changing import replace
from schemas.events import MessageKind, MessageReceived, OutcomeKind, Person, Phase
from schemas.ids import is_pushed

WINDOW_MS: Final = 24 * 3_600_000
"""Source: WhatsApp Cloud API, "Customer service windows" (24 h from the user's message)."""
WINDOW_MARGIN_MS: Final = 5 * 60_000
"""WhatsApp's timestamps have whole seconds and its clock is not ours."""
LATEST_DELIVERY_MS: Final = 8 * 86_400_000
"""WhatsApp tries for 7 days; a timestamp older than that is wrong, not late."""

UNANSWERED: Final = (
    MessageKind.REACTION,
    MessageKind.SYSTEM,
    MessageKind.EDIT,
    MessageKind.REVOKE,
)
"""Kinds that want no answer, with or without words."""
WINDOWLESS: Final = (MessageKind.SYSTEM, MessageKind.EDIT, MessageKind.REVOKE)
"""Kinds after which WhatsApp lets nobody write who could not before."""


def on_message(step: Step, event: MessageReceived) -> None:
    """Decide about one customer's message."""
    if not step.first_time(natural_id(event)):
        step.decided("duplicate_ignored", "duplicate")
        return
    step.change(person=_person(step.state, event), phone_number_id=event.phone_number_id)
    step.change(window_expires_ms=window_end(step.state, event))
    reason = _unanswerable(event)
    if reason is not None:
        _unanswered(step, event, reason)
        return
    message = as_changed(step, _pending(event))
    if message is None:
        _ignore(step, event, REVOKED)
        return
    step.change(unread=step.state.unread + 1)
    _listen(step, event)
    _ARRIVALS.get(step.state.phase, _to_ai)(step, message)


def _person(state: Conversation, event: MessageReceived) -> Person:
    """Return the customer as WhatsApp names them: another system may know an older number."""
    known = state.person
    if is_pushed(event.wamid) and (known.wa_id or known.user_id):
        return replace(known, name=known.name or event.sender.name)
    return replace(event.sender, name=event.sender.name or known.name)


def _unanswered(step: Step, event: MessageReceived, reason: str) -> None:
    changed = amended(step, event)
    if changed:
        step.outcome(event.wamid, OutcomeKind.IGNORED, reason)
    elif changed is None:
        _ignore(step, event, reason)
    else:
        came = "early" if awaits_message(step, event) else "late"
        _ignore(step, event, f"{came}:{event.kind}")


def _ignore(step: Step, event: MessageReceived, reason: str) -> None:
    step.outcome(event.wamid, OutcomeKind.IGNORED, reason)
    step.decided("ignored", reason)


def _listen(step: Step, event: MessageReceived) -> None:
    """Learn the customer's rhythm from messages that did not wait for an answer."""
    state = step.state
    if step.settings is not None and waiting(state):
        gap = rhythm.gap_ms(event.occurred_at - state.heard_ms, event.sent_at - state.heard_sent_ms)
        longest = rhythm.longest_ms(step.settings)
        step.change(rhythm_ms=rhythm.learned(state.rhythm_ms, gap, longest_ms=longest))
    step.change(heard_ms=event.occurred_at, heard_sent_ms=event.sent_at)


def _unanswerable(event: MessageReceived) -> str | None:
    if not event.answerable:
        return "not_answerable"
    if event.kind in UNANSWERED:
        return f"kind:{event.kind}"
    if not words_of(event) and event.kind not in PLACEHOLDERS:
        return f"kind:{event.kind}"
    return None


def _pending(event: MessageReceived) -> Pending:
    return Pending(
        wamid=event.wamid,
        text=shortened(named(event.kind, words_of(event)), MESSAGE_CHARS),
        kind=event.kind,
        trace_id=event.trace_id,
        received_ms=event.occurred_at,
    )


def window_end(state: Conversation, event: MessageReceived) -> int | None:
    """Return the end of the window: 24 h after the newest message, as WhatsApp dates it.

    What we do not answer, or cannot read, opens it for people all the same. What another system
    has pushed opens none.
    """
    opens = event.answerable and event.kind not in WINDOWLESS
    if not opens or is_pushed(event.wamid):
        return state.window_expires_ms
    plausible = event.occurred_at - LATEST_DELIVERY_MS < event.sent_at <= event.occurred_at
    sent_ms = event.sent_at if plausible else event.occurred_at
    return max(state.window_expires_ms or 0, sent_ms + WINDOW_MS - WINDOW_MARGIN_MS)


def _with_human(step: Step, message: Pending) -> None:
    """It is the person's, unless the AI goes on when they are silent: then it waits for either."""
    step.move(Trigger.MESSAGE)
    if step.state.attended and not step.state.pending:
        attend(step)  # they have the whole time for it
    held = (*step.state.pending, message)
    if not awaits_return(step) or excess(held):
        step.ended(held, OutcomeKind.HANDED, "with_human")
        step.change(pending=())
        step.decided("handed", "with_human")
        return
    step.change(pending=held)
    step.decided("held", "with_human")


def _parked(step: Step, message: Pending) -> None:
    step.move(Trigger.MESSAGE)
    step.ended((message,), OutcomeKind.PARKED, "parked")
    step.decided("parked", "parked")


def _paused(step: Step, message: Pending) -> None:
    """A pause with an end keeps the message for the AI; one without belongs to a person."""
    if "pause" not in step.state.timers:
        step.move(Trigger.MESSAGE)
        step.ended((message,), OutcomeKind.HANDED, "paused")
        step.decided("handed", "paused")
    elif _keep(step, message):
        step.move(Trigger.MESSAGE)
        step.decided("held", "paused")


def _to_ai(step: Step, message: Pending) -> None:
    if not _keep(step, message):
        return
    reason = obstacle(step)
    if reason is not None:
        hand_over(step, reason)
    elif step.state.phase is Phase.THINKING:
        _while_thinking(step)
    else:
        _gather(step)


def _keep(step: Step, message: Pending) -> bool:
    """Let the message wait; False when too much waits, which is then dealt with."""
    step.change(pending=(*step.state.pending, message))
    reason = excess(waiting(step.state))
    if reason == FLOOD:
        park(step, reason)
    elif reason:
        hand_over(step, reason)
    return not reason


def _while_thinking(step: Step) -> None:
    turn = step.state.turn
    if turn is not None and not turn.cancelled and step.state.superseded < MAX_SUPERSEDED:
        supersede(step)
        open_burst(step)
        step.decided("superseded", "newer_message", turn_id=turn.turn_id)
    else:
        step.move(Trigger.MESSAGE)
        step.decided("queued", "turn_running", turn_id=turn.turn_id if turn else None)


def _gather(step: Step) -> None:
    reopened = step.state.phase is Phase.CLOSED
    at_once = step.settings is not None and step.settings.burst_quiet_ms <= 0
    if at_once and step.state.turn is None:
        begin(step)
        return
    step.move(Trigger.MESSAGE)
    open_burst(step)
    step.decided("gathering", "reopened" if reopened else "burst")


_ARRIVALS: Final = {
    Phase.WITH_HUMAN: _with_human,
    Phase.PARKED: _parked,
    Phase.PAUSED: _paused,
}
"""What a message means where the AI is silent; everywhere else it goes to the AI."""
