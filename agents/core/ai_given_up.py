"""An event that the AI stage cannot handle: the turn that waits for it ends, and says so."""

from __future__ import annotations

from agents.core import turnsteps
from agents.core.turn import Turn, awaited, stepped
from agents.core.turnevents import Moment
from agents.core.turnsteps import Decided
from schemas.changing import replace
from schemas.events import HandoffRequested, ResponseOutcome, ToolCallCompleted, TurnKind


def given_up(state: Turn | None, moment: Moment, reason: str) -> Decided:
    """Say what becomes of a turn whose event went to the dead letters.

    The turn gets its one response now: dispatch gives the customer to a person at once,
    instead of when its own patience with the turn is over.

    Args:
        state: The conversation's turn before; None at first.
        moment: The event that is given up, and when.
        reason: Why it is given up, as a short code.

    Raises:
        Rejected: The event belongs to another conversation: nothing is said about it.
    """
    current = stepped(state, moment.event)
    code = f"given_up:{reason}"
    match moment.event:
        case HandoffRequested(kind=TurnKind.START, to_agent=agent) as start if agent != "human":
            return turnsteps.declined(current, start, moment, ResponseOutcome.FAILED, code)
        case HandoffRequested(kind=TurnKind.CANCEL) as cancel:
            return turnsteps.cancel_asked(current, replace(cancel, reason=code), moment)
        case ToolCallCompleted() as result if awaited(current, result):
            return _without_result(current, result, moment, code)
        case _:
            return current, ()


def _without_result(state: Turn, result: ToolCallCompleted, moment: Moment, code: str) -> Decided:
    """End the turn that waits for the result; what the tool changed outside is not forgotten."""
    if state.running is not None and result.side_effect:
        touched = (*state.running.side_effects, result.call_id)
        state = replace(state, running=replace(state.running, side_effects=touched))
    return turnsteps.gave_up(state, moment, ResponseOutcome.FAILED, code)
