"""Dispatch, the decision: the one place where a conversation is decided.

Rule 1: every event is one step: ``seq`` grows by one and exactly one ConversationChanged,
the last record of the step, says what was decided and names the event.
Rule 2: every inbound message gets exactly one outcome; a repetition gets none.
Rule 3: at most one turn runs; one that a newer message cancelled ends before the next starts.
Rule 4: after a takeover nothing of the AI is asked for until a release.

Nothing here knows a clock, randomness or the world: deciding again gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from agents.core.conversation import Conversation, Trigger, allows
from agents.core.dispatch_messages import on_message
from agents.core.dispatch_people import (
    answered_by_person,
    attend,
    close,
    hand_over,
    pause,
    take_over,
)
from agents.core.dispatch_return import give_back, nobody_came, person_silent
from agents.core.dispatch_settled import on_settled
from agents.core.dispatch_step import Step, opened, waiting
from agents.core.dispatch_tags import tag, untag
from agents.core.dispatch_turns import begin, on_response
from agents.core.naturals import natural_id
from agents.core.person_call import by_a_stage
from agents.core.texts import split
from schemas.errors import Rejected
from schemas.events import (
    Author,
    Command,
    ControlRequested,
    Event,
    HumanReplied,
    MessageKind,
    MessageReceived,
    OutboundSettled,
    Phase,
    Position,
    ReplyOrigin,
    ResponseGenerated,
    SettingsChanged,
    TimerFired,
)


def decide(
    state: Conversation | None,
    event: Event,
    *,
    source: Position,
    now_ms: int,
    settings: SettingsChanged | None,
    repeated: bool = False,
) -> tuple[Conversation, tuple[Event, ...]]:
    """Decide one event of a conversation.

    Args:
        state: The conversation after every earlier event; None when this is the first.
        event: What happened.
        source: Where the event stands in the log.
        now_ms: Time of the decision, Unix milliseconds.
        settings: Settings of the tenant; None when it is not known (people answer then).
        repeated: True when the event's natural id is one of those that left the state. Those
            that leave it in this step (``seen.leaving``) must be kept elsewhere before.

    Returns:
        The conversation after the event, and what dispatch says, in order.

    Raises:
        Rejected: The event is no business of dispatch, or of another tenant's conversation.
    """
    step = opened(state, event, source=source, now_ms=now_ms, settings=settings, repeated=repeated)
    _apply(step, event)
    return step.finish()


def _apply(step: Step, event: Event) -> None:
    match event:
        case MessageReceived():
            on_message(step, event)
        case ResponseGenerated():
            on_response(step, event)
        case TimerFired():
            _on_timer(step, event)
        case OutboundSettled():
            on_settled(step, event)
        case HumanReplied():
            _on_reply(step, event)
        case ControlRequested():
            _on_control(step, event)
        case _:
            raise Rejected("unexpected_record", f"dispatch does not read {event.event}")


def _on_timer(step: Step, event: TimerFired) -> None:
    if step.state.timers.get(event.timer) != event.due_at:
        step.decided("timer_ignored", "not_due")
        return
    step.disarm(event.timer)
    if event.timer == "burst":
        _burst_over(step)
    elif event.timer == "turn":
        turn = step.state.turn
        reason = "cancel_unanswered" if turn and turn.cancelled else "turn_timeout"
        hand_over(step, reason, notice=bool(waiting(step.state)))
    elif event.timer == "handoff":
        nobody_came(step)
    elif event.timer == "return":
        person_silent(step)
    elif step.state.tags:
        take_over(step, step.state.agent_user, "tag")
    else:
        give_back(step, "pause_over")


def _burst_over(step: Step) -> None:
    turn = step.state.turn
    if turn is None:
        begin(step)
    else:
        step.move(Trigger.WAIT, gathering_since_ms=0)
        step.decided("waiting", "cancelled_turn", turn_id=turn.turn_id)


def _on_reply(step: Step, event: HumanReplied) -> None:
    """A person spoke: the AI is silent from here on, and waiting messages are theirs."""
    if not step.first_time(natural_id(event)):
        step.decided("duplicate_ignored", "duplicate")
        return
    if event.kind in (MessageKind.EDIT, MessageKind.REVOKE, MessageKind.REACTION):
        step.decided("reply_noted", f"kind:{event.kind}")
        return
    parts = split(event.text or "")
    if event.origin is ReplyOrigin.CONSOLE and not parts:
        step.decided("reply_refused", "no_text")
        return
    step.change(phone_number_id=step.state.phone_number_id or event.phone_number_id)
    known = step.state.person.wa_id or step.state.person.user_id
    if event.recipient is not None and not known:  # no message of the customer has come yet
        step.change(person=event.recipient)
    _yield_to_person(step, event)
    sent = event.origin is ReplyOrigin.CONSOLE
    ids = ("reply", event.conversation_id, event.reply_id)
    bubble_ids = step.say(Author.HUMAN, parts, *ids) if sent else ()
    step.spoke("human", parts, event.wamid, bubble_ids)


def _yield_to_person(step: Step, event: HumanReplied) -> None:
    state = step.state
    if state.phase is Phase.WITH_HUMAN and state.silenced:
        step.change(agent_user=state.agent_user or event.agent_user)
        attend(step)
    elif state.phase is not Phase.PAUSED:
        take_over(step, event.agent_user, "human_replied")
    answered_by_person(step)
    step.decided("human_replied", str(event.origin))


def _on_control(step: Step, event: ControlRequested) -> None:
    if not step.first_time(natural_id(event)):
        step.decided("duplicate_ignored", "duplicate")
        return
    trigger, obey = _COMMANDS.get(event.command, (None, _unpark))
    if trigger is None or not allows(step.state.phase, trigger):
        step.decided(f"{event.command}_ignored", f"phase:{step.state.phase}")
        return
    obey(step, event, event.reason or str(event.command))


def _take(step: Step, event: ControlRequested, reason: str) -> None:
    if by_a_stage(event):  # whoever has it keeps it
        take_over(step, step.state.agent_user, reason, came=False)
    else:
        take_over(step, event.agent_user, reason)


def _release(step: Step, _: ControlRequested, reason: str) -> None:
    give_back(step, reason)


def _pause(step: Step, event: ControlRequested, reason: str) -> None:
    pause(step, event.until, reason)


def _close(step: Step, _: ControlRequested, reason: str) -> None:
    close(step, reason)


def _unpark(step: Step, _: ControlRequested, reason: str) -> None:
    user = step.state.agent_user
    step.move(Trigger.UNPARK, agent_user=None)
    if step.state.tags:  # it is still held for people
        take_over(step, user, "tag")
    step.decided("unparked", reason)


_COMMANDS: Final[dict[Command, tuple[Trigger, Callable[[Step, ControlRequested, str], None]]]] = {
    Command.TAKEOVER: (Trigger.TAKE, _take),
    Command.RELEASE: (Trigger.RELEASE, _release),
    Command.PAUSE: (Trigger.PAUSE, _pause),
    Command.CLOSE: (Trigger.CLOSE, _close),
    Command.UNPARK: (Trigger.UNPARK, _unpark),
    Command.TAG: (Trigger.TAKE, tag),
    # Every phase has this trigger: a tag may be taken off whatever the conversation does.
    Command.UNTAG: (Trigger.MESSAGE, untag),
}
"""What each command does, and the move that must be possible for it."""
