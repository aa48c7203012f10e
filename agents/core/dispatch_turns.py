"""Turns: when one starts, who works on it, and what its end means."""

from __future__ import annotations

from typing import Final

from agents.core.aiagents import TRANSFER
from agents.core.conversation import Pending, RunningTurn, Trigger
from agents.core.dispatch_people import AI_DISABLED, cancel, hand_over
from agents.core.dispatch_step import Step, waiting
from agents.core.intent import AGENTS, HUMAN, ROUTES, Intent, asks_for_person, intent_of
from agents.core.naturals import natural_id
from agents.core.spoken import told
from agents.core.texts import BUBBLES, MAYBE_DONE, bubbles, corrected
from schemas.changing import replace
from schemas.events import (
    Author,
    HandoffRequested,
    MemoryUpdateRequested,
    OutboundRequested,
    OutcomeKind,
    Phase,
    ResponseGenerated,
    ResponseOutcome,
    TurnKind,
)
from schemas.ids import derived, is_pushed
from schemas.topics import HANDOFF_REQUESTED, MEMORY_REQUESTED

TURN_DEADLINE_MS: Final = 90_000
"""When an answer is no longer wanted: a model call of 60 s and some tools fit."""
TURN_LIMIT_MS: Final = 120_000
"""When the AI stage is taken for stuck and a person gets the conversation."""
CANCEL_LIMIT_MS: Final = 30_000
"""How long the end of a cancelled turn is awaited: longer than a tool may run."""

EFFECTS: Final = "effects_without_answer"
MAX_SUPERSEDED: Final = 2
"""How often a newer message may cancel the answer: a customer who never stops gets one too."""
MAX_HOPS: Final = 3
"""How often agents may hand a question to each other before a person gets it."""
MAX_AWAITING: Final = 40
"""Bubbles that the gate has not settled: with more, the channel is blocked, so do not add."""


def obstacle(step: Step) -> str | None:
    """Return why the AI must not answer now, or None."""
    if step.settings is None:
        return "unknown_tenant"
    if not step.settings.ai_enabled:
        return AI_DISABLED
    if len(step.state.awaiting) >= MAX_AWAITING:
        return "channel_blocked"
    texts = [message.text for message in step.state.pending]
    if any(asks_for_person(text, step.settings.handoff_words) for text in texts):
        return "rule:wants_person"
    return None


def begin(step: Step) -> None:
    """Give the pending messages to an agent, or to a person when the AI must not answer."""
    reason = obstacle(step)
    if reason is not None:
        hand_over(step, reason)
        return
    intent = intent_of("\n".join(message.text for message in step.state.pending))
    step.change(intent=intent)
    agent = ROUTES[intent]
    if intent in (None, Intent.GREETING) and step.state.owner in AGENTS:
        agent = step.state.owner
    _start(step, agent, f"intent:{intent}" if intent else "intent:none")


def _start(step: Step, agent: str, reason: str, *, hops: int = 0) -> None:
    state = step.state
    turn = RunningTurn(
        turn_id=derived("turn", state.turn_seq + 1, step.sequels.event.event_id),
        turn_seq=state.turn_seq + 1,
        agent=agent,
        messages=state.pending,
        started_ms=step.now_ms,
        hops=hops,
    )
    step.effects.append(
        HandoffRequested(
            **step.sequels.envelope(
                HANDOFF_REQUESTED, f"{turn.turn_id}:start", trace_id=turn.messages[0].trace_id
            ),
            kind=TurnKind.START,
            turn_id=turn.turn_id,
            turn_seq=turn.turn_seq,
            epoch=state.epoch,
            from_agent=state.owner,
            to_agent=agent,
            reason=reason,
            phone_number_id=state.phone_number_id,
            wamids=tuple(message.wamid for message in turn.messages),
            history=told(state.history),
            question="\n".join(message.text for message in turn.messages),
            customer_name=state.person.name,
            deadline_at=step.now_ms + TURN_DEADLINE_MS,
        )
    )
    known = [each.wamid for each in turn.messages if not is_pushed(each.wamid)]
    if known:
        step.read(known[-1], turn.turn_id)
    step.disarm("burst")
    step.arm("turn", step.now_ms + TURN_LIMIT_MS)
    step.move(
        Trigger.START,
        turn=turn,
        turn_seq=turn.turn_seq,
        pending=(),
        gathering_since_ms=0,
        owner=agent,
        silenced=False,
    )
    step.decided("turn_started", reason, turn_id=turn.turn_id)


def supersede(step: Step) -> None:
    """Cancel the running turn because a newer message makes its answer half an answer."""
    turn = step.state.turn
    if turn is None:
        return
    cancel(step, "superseded")
    step.arm("turn", step.now_ms + CANCEL_LIMIT_MS)
    step.move(
        Trigger.SUPERSEDE,
        turn=replace(turn, cancelled=True),
        superseded=step.state.superseded + 1,
    )


def on_response(step: Step, event: ResponseGenerated) -> None:
    """Act on the end of a turn; the end of one that is not awaited gives at most to a person.

    Whoever answers next must not do again what it did outside and no answer tells of.
    """
    turn = step.state.turn
    news = step.first_time(natural_id(event))
    if turn is None or turn.turn_id != event.turn_id:
        _stale(step, event, news=news)
    else:
        step.disarm("turn")
        end = _cancelled if turn.cancelled else _finished
        end(step, turn, event)
    if news and not _told(step, event):
        step.spoke("assistant", (MAYBE_DONE,))


def _told(step: Step, event: ResponseGenerated) -> bool:
    """Say whether this turn's answer is sent in this step, or all that it did was to call a person.

    That call is a tool's too.
    """
    if event.reason == f"tool:{TRANSFER}" and len(event.side_effects) == 1:
        return True
    asked = (each for each in step.effects if isinstance(each, OutboundRequested))
    sent = any(each.turn_id == event.turn_id for each in asked)
    return event.outcome is ResponseOutcome.ANSWERED and sent


def _stale(step: Step, event: ResponseGenerated, *, news: bool) -> None:
    """Nobody waits for this end any more, but somebody must learn what was done outside.

    That is whoever has the conversation. When it is the AI again, after a release say, its turn
    does not know: it could do it a second time.
    """
    reason = "side_effects" if event.side_effects else str(event.outcome)
    step.decided("stale_response", reason, turn_id=event.turn_id)
    if news and step.state.phase in (Phase.IDLE, Phase.GATHERING, Phase.THINKING):
        hand_over(step, EFFECTS)
        step.decided("handed_over", EFFECTS, turn_id=event.turn_id)


def _cancelled(step: Step, turn: RunningTurn, event: ResponseGenerated) -> None:
    """The turn that was taken back has ended: its messages join the newer ones.

    What happened outside is not thrown away: an answer that tells of it is sent; without
    one a person gets the conversation, because a new turn could do it a second time. What the
    customer has edited meanwhile is not answered by it.
    """
    step.decided("turn_cancelled", str(event.outcome), turn_id=turn.turn_id)
    if not waiting(step.state) and not event.side_effects:
        step.disarm("burst")
        step.move(Trigger.EMPTY, turn=None, gathering_since_ms=0, superseded=0)
        return
    wants_person = event.outcome is ResponseOutcome.HANDOFF and event.handoff_to in (None, HUMAN)
    if event.side_effects and event.outcome is ResponseOutcome.ANSWERED:
        _finished(step, turn, event)
        return
    if event.side_effects or wants_person:
        hand_over(step, EFFECTS if event.side_effects else _code(event))
        return
    step.change(turn=None, pending=waiting(step.state))
    if step.state.phase is Phase.THINKING:  # the burst is over already
        begin(step)


def _finished(step: Step, turn: RunningTurn, event: ResponseGenerated) -> None:
    # It has ended: nothing is left to cancel, whatever becomes of its messages.
    step.change(turn=replace(turn, cancelled=True))
    parts = bubbles(event.bubbles)
    if step.settings is None or not step.settings.ai_enabled:
        hand_over(step, AI_DISABLED if step.settings else "unknown_tenant")
    elif event.outcome is ResponseOutcome.ANSWERED and 0 < len(parts) <= BUBBLES:
        _answered(step, turn, parts)
    elif event.outcome is ResponseOutcome.ANSWERED:
        hand_over(step, "answer_too_long" if parts else "empty_answer")
    elif _hops(turn, event):
        _say(step, turn, parts[:BUBBLES])
        _hop(step, turn, event)
    else:
        if event.outcome is ResponseOutcome.HANDOFF:
            _say(step, turn, parts[:BUBBLES])
        hand_over(step, _code(event))


def _answered(step: Step, turn: RunningTurn, parts: tuple[str, ...]) -> None:
    """Send an answer; messages that were edited since wait for the next turn, as corrections.

    Their one outcome is that turn's. The history tells it what was asked first and answered.
    """
    unanswered, given = turn.open, turn.given
    left = tuple(replace(each, text=_as_correction(each), corrects=True) for each in unanswered)
    for message in turn.messages:
        if message not in unanswered:
            step.outcome(message.wamid, OutcomeKind.ANSWERED, f"agent:{turn.agent}", turn.turn_id)
    step.heard(given)
    _say(step, turn, parts)
    step.effects.append(
        MemoryUpdateRequested(
            **step.sequels.envelope(MEMORY_REQUESTED, turn.turn_id),
            turn_id=turn.turn_id,
            question="\n".join(message.text for message in given),
            answer="\n".join(parts),
        )
    )
    pending = (*left, *step.state.pending)
    step.move(
        Trigger.ANSWER,
        turn=None,
        superseded=0,
        owner=turn.agent,
        pending=pending,
        unread=len(pending),
    )
    if step.state.pending and step.state.phase is Phase.IDLE:  # they waited long enough
        begin(step)
    elif not step.state.pending and step.state.phase is Phase.GATHERING:
        # A revoke had taken the turn back: nothing newer is gathered.
        step.disarm("burst")
        step.move(Trigger.EMPTY, gathering_since_ms=0)
    if step.state.phase is not Phase.WITH_HUMAN:
        step.decided("answered", f"agent:{turn.agent}", turn_id=turn.turn_id)


def _as_correction(message: Pending) -> str:
    return message.text if message.corrects else corrected(message.text)


def _say(step: Step, turn: RunningTurn, parts: tuple[str, ...]) -> None:
    bubble_ids = step.say(Author.AI, parts, turn.turn_id, turn_id=turn.turn_id)
    step.spoke("assistant", parts, bubble_ids=bubble_ids)


def _hops(turn: RunningTurn, event: ResponseGenerated) -> bool:
    return (
        event.outcome is ResponseOutcome.HANDOFF
        and not turn.cancelled
        and event.handoff_to in AGENTS
        and event.handoff_to != turn.agent
        and turn.hops < MAX_HOPS
        and not event.side_effects
    )


def _hop(step: Step, turn: RunningTurn, event: ResponseGenerated) -> None:
    """Give the same messages to another agent."""
    step.change(turn=None, pending=waiting(step.state))
    _start(step, event.handoff_to or HUMAN, _code(event), hops=turn.hops + 1)


def _code(event: ResponseGenerated) -> str:
    """Return why a turn ended without an answer, as a code."""
    kind = "agent" if event.outcome is ResponseOutcome.HANDOFF else str(event.outcome)
    return f"{kind}:{event.reason}" if event.reason else kind
