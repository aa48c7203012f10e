"""Edits and revokes: what a customer says otherwise, or takes back, before it was answered.

A message can be changed while it waits and while its turn runs. The turn is then taken back and
starts again with the changed words, or ends when none are left. A turn that has done something
outside is not thrown away: its answer to the earlier words is sent, and the new ones are the
question of the next turn. An answered message stays as it was answered. A change may be delivered
before its message, which is tried again when we were away: it waits for it.
"""

from __future__ import annotations

from typing import Final

from agents.core import seen
from agents.core.conversation import Early, Pending, RunningTurn, Trigger
from agents.core.dispatch_burst import excess, open_burst
from agents.core.dispatch_people import cancel, hand_over
from agents.core.dispatch_step import Step, typed, waiting
from agents.core.dispatch_turns import CANCEL_LIMIT_MS, MAX_SUPERSEDED, supersede
from agents.core.naturals import natural_id
from agents.core.texts import MESSAGE_CHARS, corrected, named, shortened
from schemas.changing import replace
from schemas.events import MessageKind, MessageReceived, OutcomeKind, Phase

REVOKED: Final = "revoked"
EARLY: Final = 8
"""Most changes that wait for their messages; the newest are kept."""
EARLY_MS: Final = 7 * 86_400_000
"""How long they wait. Source: WhatsApp Cloud API, "Webhooks", "Retry" (7 days)."""


def amended(step: Step, event: MessageReceived) -> bool | None:
    """Apply an edit or a revoke; False when it comes too late, None when it is neither.

    What became of it is decided when it is True.
    """
    words, target = words_of(event), event.target_wamid
    if event.kind not in (MessageKind.EDIT, MessageKind.REVOKE) or not target:
        return None
    if event.kind is MessageKind.EDIT and not words:
        return None
    if target not in {message.wamid for message in waiting(step.state)}:
        return False
    turn, shown = step.state.turn, typed(step.state)
    taken = turn is not None and any(message.wamid == target for message in turn.messages)
    step.change(
        turn=turn
        and replace(turn, messages=_changed(step, turn.messages, event), asked=_asked(turn, event)),
        pending=_changed(step, step.state.pending, event),
    )
    step.decided("amended", str(event.kind), turn_id=turn.turn_id if turn and taken else None)
    if turn is not None and taken and not turn.cancelled:
        _take_back(step, event.kind)
    elif not waiting(step.state) and step.state.phase is Phase.GATHERING and turn is None:
        step.disarm("burst")
        step.move(Trigger.EMPTY, gathering_since_ms=0, superseded=0)
    if shown and not waiting(step.state):
        step.read(None, turn.turn_id if turn else None)
    _bound(step)
    return True


def awaits_message(step: Step, event: MessageReceived) -> bool:
    """Keep a change whose message was not delivered yet; False when that was, or there is none."""
    target = event.target_wamid
    if not target or seen.knows(step.state.seen, str(natural_id(replace(event, wamid=target)))):
        return False
    text = None if event.kind is MessageKind.REVOKE else shortened(words_of(event), MESSAGE_CHARS)
    early = [each for each in step.state.early if each.sent_ms > step.now_ms - EARLY_MS]
    early.append(Early(target, text, event.sent_at))
    step.change(early=tuple(early[-EARLY:]))
    return True


def as_changed(step: Step, message: Pending) -> Pending | None:
    """Return a message as the customer has changed it already; None when it was taken back."""
    early = [each for each in step.state.early if each.wamid == message.wamid]
    if not early:
        return message
    step.change(early=tuple(each for each in step.state.early if each.wamid != message.wamid))
    if any(each.text is None for each in early):
        return None
    newest = max(early, key=lambda each: each.sent_ms)
    return _reworded(message, newest.text or "")


def words_of(event: MessageReceived) -> str:
    """Return what a customer has written; empty when that is nothing."""
    return (event.text or "").strip()


def _reworded(message: Pending, words: str) -> Pending:
    text = named(message.kind, words)
    text = corrected(text) if message.corrects else text
    return replace(message, text=shortened(text, MESSAGE_CHARS))


def _changed(
    step: Step, messages: tuple[Pending, ...], event: MessageReceived
) -> tuple[Pending, ...]:
    """Return messages with the changed one, or without the revoked one, which ends here."""
    kept = []
    for message in messages:
        if message.wamid != event.target_wamid:
            kept.append(message)
        elif event.kind is MessageKind.EDIT:
            kept.append(_reworded(message, words_of(event)))
        else:
            turn = step.state.turn
            covered = turn is not None and message in turn.messages
            turn_id = turn.turn_id if turn is not None and covered else None
            step.outcome(message.wamid, OutcomeKind.IGNORED, REVOKED, turn_id)
            step.change(unread=max(0, step.state.unread - 1))
    return tuple(kept)


def _asked(turn: RunningTurn, event: MessageReceived) -> dict[str, str]:
    """Return what a turn was given of messages that were edited; nothing is kept of a revoked one.

    The words of the first edit are as unknown to the turn as those of the last one.
    """
    target = event.target_wamid
    kept = {wamid: text for wamid, text in turn.asked.items() if wamid != target}
    if event.kind is MessageKind.EDIT:
        kept |= {each.wamid: each.text for each in turn.given if each.wamid == target}
    return kept


def _take_back(step: Step, kind: MessageKind) -> None:
    """Cancel the running turn: its words are not the customer's any more."""
    turn = step.state.turn
    if turn is None:
        return
    if waiting(step.state):
        # Whoever edits for ever is answered too; a revoke leaves fewer messages each time.
        if kind is MessageKind.REVOKE or step.state.superseded < MAX_SUPERSEDED:
            supersede(step)
            open_burst(step)
        return
    cancel(step, REVOKED)  # its end is awaited: it may have done something
    step.arm("turn", step.now_ms + CANCEL_LIMIT_MS)
    step.change(turn=replace(turn, cancelled=True))


def _bound(step: Step) -> None:
    """An edit may make more of what waits than a conversation may hold."""
    if not excess(waiting(step.state)):
        return
    if step.state.phase is Phase.WITH_HUMAN:
        step.ended(step.state.pending, OutcomeKind.HANDED, "with_human")
        step.change(pending=())
    else:
        hand_over(step, "too_long")
