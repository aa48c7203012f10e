"""Coming back from people: a person who never came, and one who fell silent.

A customer's message is held where the AI may come back, so that it still has one outcome: the
person's, when they answer; or the AI's turn, when they do not.
"""

from __future__ import annotations

from typing import Final

from agents.core.dispatch_people import AI_DISABLED, call_person, release, tell
from agents.core.dispatch_step import Step
from agents.core.dispatch_turns import begin, obstacle
from schemas.events import OutcomeKind, Phase

LATE_RETURNS: Final = (
    "Desculpe a demora: ainda não há ninguém da nossa equipe disponível."
    " Enquanto isso, eu continuo por aqui: escreva o que precisa e tento ajudar."
)
LATE_STAYS: Final = (
    "Desculpe a demora: ainda não há ninguém da nossa equipe disponível."
    " A sua conversa continua na fila e uma pessoa responde por aqui assim que possível."
)
"""What the customer is told, once for each hand-over, when no person came in time."""

RETURNED: Final = "handoff_returned"
STAYS: Final = "handoff_stays"
"""Decisions about a hand-over to which no person came in time."""


def awaits_return(step: Step) -> bool:
    """Say whether the AI may come back by itself, so that messages wait for it."""
    timers = step.state.timers
    return "return" in timers or ("handoff" in timers and _comes_back(step))


def _comes_back(step: Step) -> bool:
    """Say whether the AI goes on when nobody comes to a hand-over."""
    settings = step.settings
    return settings is not None and settings.handoff_returns and not step.state.stays


def give_back(step: Step, reason: str) -> None:
    """Give the conversation back to the AI, with what waits for an answer."""
    release(step, reason)
    if step.state.pending:
        begin(step)
        if step.state.phase is Phase.THINKING:
            step.decided("released", reason)


def person_silent(step: Step) -> None:
    """The person said nothing for so long that the AI goes on, unless the tenant stopped it."""
    if step.settings is not None and step.settings.ai_enabled:
        give_back(step, "human_silent")
        return
    _stay(step)
    step.decided("return_refused", AI_DISABLED)


def nobody_came(step: Step) -> None:
    """No person came in time: the customer is told, and the AI goes on or they wait further.

    A customer who has asked for a person again stays in the queue whatever the tenant prefers.
    """
    settings, before = step.settings, step.state
    text = settings.handoff_late_text if settings else ""
    if _comes_back(step) and obstacle(step) is None:
        tell(step, text or LATE_RETURNS, "late")
        give_back(step, "no_person")
        step.decided(RETURNED, "no_person")
        return
    _stay(step)
    call_person(step, before, "no_person")
    tell(step, text or LATE_STAYS, "late")
    step.decided(STAYS, "no_person")


def _stay(step: Step) -> None:
    """Leave with people what waited for the AI to come back."""
    step.ended(step.state.pending, OutcomeKind.HANDED, "with_human")
    step.change(pending=())
