"""Customers' messages: which ones want an answer, how a burst is gathered, the 24 h window."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from agents.core import rhythm
from agents.core.conversation import Conversation, Pending, Trigger
from agents.core.dispatch_people import attend, hand_over, park
from agents.core.dispatch_return import awaits_return
from agents.core.dispatch_step import Step, waiting
from agents.core.dispatch_turns import MAX_SUPERSEDED, begin, obstacle, supersede
from agents.core.texts import shortened
from schemas.events import MessageKind, MessageReceived, OutcomeKind, Phase

WINDOW_MS: Final = 24 * 3_600_000
"""Source: WhatsApp Cloud API, "Customer service windows" (24 h from the user's message)."""
WINDOW_MARGIN_MS: Final = 5 * 60_000
"""WhatsApp's timestamps have whole seconds and its clock is not ours."""
LATEST_DELIVERY_MS: Final = 8 * 86_400_000
"""WhatsApp tries for 7 days; a timestamp older than that is wrong, not late."""

MESSAGE_CHARS: Final = 4096
"""What is kept of one message for the model; the record on the log has all of it."""
WAITING_MESSAGES: Final = 50
WAITING_BYTES: Final = 16_000
"""What may wait in one conversation; more messages are a flood, more text is for a person.

With the newest message and the history it fits the 64 KiB that one record may have.
"""
FLOOD: Final = "flood"

PLACEHOLDERS: Final = {
    MessageKind.IMAGE: "[imagem]",
    MessageKind.VIDEO: "[vídeo]",
    MessageKind.AUDIO: "[áudio]",
    MessageKind.DOCUMENT: "[documento]",
    MessageKind.STICKER: "[figurinha]",
    MessageKind.LOCATION: "[localização]",
    MessageKind.CONTACTS: "[contato]",
    MessageKind.ORDER: "[pedido feito pelo catálogo]",
}
"""What the model is told of a message without words."""

UNANSWERED: Final = (
    MessageKind.REACTION,
    MessageKind.SYSTEM,
    MessageKind.EDIT,
    MessageKind.REVOKE,
)
"""Kinds that want no answer, with or without words."""


def on_message(step: Step, event: MessageReceived) -> None:
    """Decide about one customer's message."""
    if not step.first_time(f"{event.phone_number_id}:{event.wamid}"):
        step.decided("duplicate_ignored", "duplicate")
        return
    step.change(person=event.sender, phone_number_id=event.phone_number_id)
    reason = _unanswerable(event)
    if reason is not None:
        _amend(step, event)
        step.outcome(event.wamid, OutcomeKind.IGNORED, reason)
        step.decided("ignored", reason)
        return
    step.change(window_expires_ms=_window(step.state, event), unread=step.state.unread + 1)
    _listen(step, event)
    _ARRIVALS.get(step.state.phase, _to_ai)(step, _pending(event))


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
    if not (event.text or "").strip() and event.kind not in PLACEHOLDERS:
        return f"kind:{event.kind}"
    return None


def _pending(event: MessageReceived) -> Pending:
    words = (event.text or "").strip()
    shown = " ".join(filter(None, (PLACEHOLDERS.get(event.kind), words)))
    return Pending(
        wamid=event.wamid,
        text=shortened(shown, MESSAGE_CHARS),
        kind=event.kind,
        trace_id=event.trace_id,
        received_ms=event.occurred_at,
    )


def _window(state: Conversation, event: MessageReceived) -> int:
    """Return the end of the window: 24 h after the newest message, as WhatsApp dates it."""
    plausible = event.occurred_at - LATEST_DELIVERY_MS < event.sent_at <= event.occurred_at
    sent_ms = event.sent_at if plausible else event.occurred_at
    return max(state.window_expires_ms or 0, sent_ms + WINDOW_MS - WINDOW_MARGIN_MS)


def _amend(step: Step, event: MessageReceived) -> None:
    """Let an edit or a revoke change a message that no turn has taken yet."""
    words = (event.text or "").strip()
    if event.kind not in (MessageKind.EDIT, MessageKind.REVOKE) or not event.target_wamid:
        return
    if event.kind is MessageKind.EDIT and not words:
        return
    kept = []
    for message in step.state.pending:
        if message.wamid != event.target_wamid:
            kept.append(message)
        elif event.kind is MessageKind.EDIT:
            kept.append(replace(message, text=shortened(words, MESSAGE_CHARS)))
        else:
            step.outcome(message.wamid, OutcomeKind.IGNORED, "revoked")
            step.change(unread=max(0, step.state.unread - 1))
    step.change(pending=tuple(kept))
    if not kept and step.state.phase is Phase.GATHERING and step.state.turn is None:
        step.disarm("burst")
        step.move(Trigger.EMPTY, gathering_since_ms=0)


def _with_human(step: Step, message: Pending) -> None:
    """It is the person's, unless the AI goes on when they are silent: then it waits for either."""
    step.move(Trigger.MESSAGE)
    if step.state.attended and not step.state.pending:
        attend(step)  # they have the whole time for it
    held = (*step.state.pending, message)
    if not awaits_return(step) or _excess(held):
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
    excess = _excess(waiting(step.state))
    if excess == FLOOD:
        park(step, excess)
    elif excess:
        hand_over(step, excess)
    return not excess


def _excess(held: tuple[Pending, ...]) -> str:
    """Return why a conversation may not hold so much, or nothing."""
    if len(held) > WAITING_MESSAGES:
        return FLOOD
    held_bytes = sum(len(each.text.encode()) for each in held)
    return "too_long" if held_bytes > WAITING_BYTES else ""


def _while_thinking(step: Step) -> None:
    turn = step.state.turn
    if turn is not None and not turn.cancelled and step.state.superseded < MAX_SUPERSEDED:
        supersede(step)
        _open_burst(step)
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
    _open_burst(step)
    step.decided("gathering", "reopened" if reopened else "burst")


def _open_burst(step: Step) -> None:
    """Open the burst window, or move its end; it never ends later than its longest time."""
    settings = step.settings
    quiet_ms = rhythm.quiet_ms(settings, step.state.rhythm_ms) if settings else 0
    max_ms = rhythm.longest_ms(settings) if settings else 0
    since_ms = step.state.gathering_since_ms or step.now_ms
    step.change(gathering_since_ms=since_ms)
    step.arm("burst", min(step.now_ms + quiet_ms, since_ms + max_ms))


_ARRIVALS: Final = {
    Phase.WITH_HUMAN: _with_human,
    Phase.PARKED: _parked,
    Phase.PAUSED: _paused,
}
"""What a message means where the AI is silent; everywhere else it goes to the AI."""
