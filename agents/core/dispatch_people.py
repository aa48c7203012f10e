"""Giving a conversation to a person and back: hand-over, takeover, release, pause, close."""

from __future__ import annotations

from typing import Final

from agents.core.conversation import Conversation, Trigger
from agents.core.dispatch_step import Step, typed, waiting
from agents.core.intent import HUMAN
from agents.core.spoken import told
from agents.core.texts import split
from agents.ports.permits import TAKEN_OVER
from schemas.events import Author, HandoffRequested, OutcomeKind, Phase, TurnKind
from schemas.ids import derived
from schemas.topics import HANDOFF_REQUESTED

NOTICE: Final = (
    "Vou passar a sua conversa para uma pessoa da nossa equipe."
    " Ela responde por aqui assim que possível."
)
"""What the customer is told, once for each hand-over.

Source: WhatsApp Business Messaging Policy, "Escalation paths".
"""

AI_DISABLED: Final = "ai_disabled"
SILENCES: Final = (AI_DISABLED, TAKEN_OVER)
"""Reasons for which the AI is silenced with a hand-over: the kill switch, and a takeover that was
written down for the next epoch and never decided; what comes after a release must be above it."""
MINUTE_MS: Final = 60_000


def cancel(step: Step, reason: str) -> None:
    """Take the running turn back: raise the epoch and tell the AI stage, once for each turn."""
    turn = step.state.turn
    if turn is None or turn.cancelled:
        return
    step.effects.append(
        HandoffRequested(
            **step.sequels.envelope(HANDOFF_REQUESTED, f"{turn.turn_id}:cancel"),
            kind=TurnKind.CANCEL,
            turn_id=turn.turn_id,
            turn_seq=turn.turn_seq,
            epoch=step.state.epoch + 1,
            from_agent=turn.agent,
            to_agent=turn.agent,
            reason=reason,
            phone_number_id=step.state.phone_number_id,
            wamids=tuple(message.wamid for message in turn.messages),
            deadline_at=step.now_ms,
        )
    )
    step.change(epoch=step.state.epoch + 1)


def _drop_turn(step: Step, reason: str, kind: OutcomeKind = OutcomeKind.HANDED) -> None:
    """End everything that waits: cancel the turn and give each message its outcome."""
    cancel(step, reason)
    if turn := step.state.turn:
        step.ended(turn.messages, kind, reason, turn.turn_id)
    step.ended(step.state.pending, kind, reason)
    step.change(turn=None, pending=(), gathering_since_ms=0, superseded=0)
    step.disarm("burst", "turn", "pause", "handoff", "return")


def hand_over(step: Step, reason: str, *, notice: bool = True) -> None:
    """Give the conversation to a person, by a rule or a failure of the AI.

    Every waiting message is handed; the customer is told once, unless the channel to
    them is what failed. Whoever has paused the AI does not get it back because nobody came, and
    keeps what they had.
    """
    before = step.state
    _drop_turn(step, reason)
    stays = before.phase is Phase.PAUSED
    step.move(Trigger.HAND, owner=HUMAN, attended=False, stays=stays)
    if step.settings is not None and step.settings.handoff_minutes > 0:
        step.arm("handoff", step.now_ms + step.settings.handoff_minutes * MINUTE_MS)
    if reason in SILENCES:  # what the gate has not sent yet is stopped as well
        _silence(step, reason)
    call_person(step, before, reason)
    if notice:
        tell(step, _notice(step), "notice")
    elif waiting(before) and typed(before):
        step.read(None, before.turn.turn_id if before.turn else None)
    step.decided("handed_over", reason, turn_id=before.turn.turn_id if before.turn else None)


def _notice(step: Step) -> str:
    return (step.settings.handoff_text if step.settings else "") or NOTICE


def tell(step: Step, text: str, kind: str) -> None:
    """Tell the customer something that no agent and no person says."""
    parts = split(text)
    bubble_ids = step.say(Author.AUTOMATION, parts, kind, step.sequels.event.event_id)
    step.spoke("assistant", parts, bubble_ids=bubble_ids)


def call_person(step: Step, before: Conversation, reason: str) -> None:
    """Record the routing to a person, with what they need to know."""
    state, messages = step.state, waiting(before)
    turn_id = derived("handover", state.conversation_id, step.sequels.event.event_id)
    step.effects.append(
        HandoffRequested(
            **step.sequels.envelope(HANDOFF_REQUESTED, f"{turn_id}:human"),
            kind=TurnKind.START,
            turn_id=turn_id,
            turn_seq=state.turn_seq,
            epoch=state.epoch,
            from_agent=before.turn.agent if before.turn else before.owner,
            to_agent=HUMAN,
            reason=reason,
            phone_number_id=state.phone_number_id,
            wamids=tuple(message.wamid for message in messages),
            history=told(before.history),
            question="\n".join(message.text for message in messages),
            customer_name=state.person.name,
            deadline_at=step.now_ms,
        )
    )


def _silence(step: Step, reason: str) -> str:
    """Raise the epoch and mark it in the order of the gate."""
    epoch = step.state.epoch + 1
    step.change(epoch=epoch, silenced=True, silenced_epoch=epoch)
    return step.marker(reason)


def take_over(step: Step, agent_user: str | None, reason: str, *, came: bool = True) -> None:
    """Let a person have the conversation; it counts as taken when the gate confirms the marker.

    Where the AI goes on after a person's silence, messages that no turn has taken wait for
    either; those of a turn do not, because the turn may have done something already. Nobody is
    silent before a person ``came``.
    """
    held = step.state.pending if came and returns(step) else ()
    step.change(pending=() if held else step.state.pending)
    _drop_turn(step, reason)
    step.move(Trigger.TAKE, owner=HUMAN, agent_user=agent_user)
    step.change(marker_id=_silence(step, reason), marker_ms=step.now_ms, pending=held)
    step.change(attended=False)
    if came:
        attend(step)
    step.decided("taken_over", reason)


def returns(step: Step) -> bool:
    """Say whether the AI goes on when a person is silent: never while a tag holds it."""
    settings = step.settings
    return settings is not None and settings.human_silence_minutes > 0 and not step.state.tags


def attend(step: Step) -> None:
    """A person did something: from now on their silence is counted."""
    step.change(attended=True)
    step.disarm("handoff", "return")
    if step.settings is not None and returns(step):
        step.arm("return", step.now_ms + step.settings.human_silence_minutes * MINUTE_MS)


def answered_by_person(step: Step) -> None:
    """A person spoke: what waited is theirs."""
    step.ended(step.state.pending, OutcomeKind.HANDED, "human_replied")
    step.change(pending=(), unread=0)


def pause(step: Step, until_ms: int | None, reason: str) -> None:
    """Silence the AI until a time, or until it is released.

    Messages that no turn has taken wait for that time; those of a turn do not, as in a takeover.
    A person who has the conversation keeps it so long.
    """
    held = step.state.pending if until_ms is not None else ()
    step.change(pending=() if held else step.state.pending)
    _drop_turn(step, "paused")
    step.move(Trigger.PAUSE, owner=None, marker_id=None, pending=held)
    _silence(step, reason)
    if until_ms is not None:
        step.arm("pause", max(until_ms, step.now_ms))  # each end has a time of its own
    step.decided("paused", reason)


def close(step: Step, reason: str) -> None:
    """End the conversation; the customer's next message opens it again.

    What the AI has said and was not sent yet is dropped, as in a takeover: a person has ended it.
    """
    _drop_turn(step, "closed")
    step.move(Trigger.CLOSE, owner=None, agent_user=None, intent=None, marker_id=None)
    if not step.state.silenced:
        _silence(step, reason)
    step.change(unread=0, tags=())
    step.decided("closed", reason)


def release(step: Step, reason: str) -> None:
    """Give the conversation back to the AI.

    The gate drops what it said before only where a person has silenced it: after a hand-over to
    which nobody came, an answer that still waits to be sent is all that its customer gets.
    """
    step.disarm("pause", "handoff", "return")
    step.move(Trigger.RELEASE, owner=None, agent_user=None, marker_id=None, tags=())
    step.change(attended=False)
    if step.state.silenced:
        step.change(epoch=step.state.epoch + 1, silenced=False)
        step.marker(reason)
    step.decided("released", reason)


def park(step: Step, reason: str) -> None:
    """Set the conversation aside: more waits than it may hold. A person is called, once."""
    before = step.state
    _drop_turn(step, reason, OutcomeKind.PARKED)
    step.move(Trigger.FLOOD)
    call_person(step, before, reason)
    tell(step, _notice(step), "notice")
    step.decided("parked", reason)
