"""What the result of a POST means for a bubble."""

from __future__ import annotations

from typing import Final, assert_never

from msgspec import Struct

from agents.core.gate import Bubble, Gate
from agents.core.gate_next import Plan, wake_next
from agents.core.gate_step import GateStep
from agents.core.gate_window import person_due, person_reason, template_for
from agents.core.whatsapp_errors import POLICIES, Action, ErrorClass, classify, wait_ms
from agents.ports.permits import TAKEN_OVER, Withheld
from agents.ports.whatsapp import Accepted, NotSent, Receipt, Refused, Unknown
from schemas.changing import replace
from schemas.events import Author, BubbleState, Event

UNKNOWN_CAP_MS: Final = 60_000
"""How long a status may take to prove an unknown result, before a person gets it."""


HELD_LOOK_MS: Final = 60_000
RATE_LOOK_MS: Final = 15_000
"""When a bubble without a permit asks again, if nobody wakes it before: its worker died, say."""


class Posted(Struct, frozen=True, kw_only=True):
    """What came of a POST whose worker died before its step was written.

    Attributes:
        bubble_id: The bubble.
        receipt: What its claim's holder wrote down; unknown when that is nothing.
        at_ms: When it was found out: when it was posted is not known.
    """

    bubble_id: str
    receipt: Receipt
    at_ms: int


def settle(
    plan: Plan, receipt: Receipt | Withheld, *, posted_ms: int | None, now_ms: int
) -> tuple[Gate, tuple[Event, ...]]:
    """Apply the result of a plan's POST.

    Args:
        plan: The plan whose letter was posted.
        receipt: What came of it; withheld when it was not even tried.
        posted_ms: When it was written; None: before the event came again, nobody knows when.
        now_ms: When the result was there; waits are measured from it.
    """
    if plan.bubble is None:
        return plan.outcome
    step = plan.step.copy()
    if isinstance(receipt, Withheld):
        _withheld(step, plan.bubble, receipt.reason)
    else:
        _received(step, plan.bubble, receipt, posted_ms, now_ms)
    wake_next(step, now_ms)
    return step.state, tuple(step.effects)


def recall(step: GateStep, bubble: Bubble, posted: Posted) -> None:
    """Apply what came of a bubble's next attempt, which was posted before the event came again."""
    attempt = replace(bubble, attempt=bubble.attempt + 1)
    _received(step, attempt, posted.receipt, None, posted.at_ms)


def _received(
    step: GateStep, bubble: Bubble, receipt: Receipt, posted_ms: int | None, now_ms: int
) -> None:
    bubble = replace(bubble, posted_ms=now_ms if posted_ms is None else posted_ms)
    match receipt:
        case Accepted():
            step.spend(bubble.posted_ms, sure=posted_ms is not None)
            step.end(replace(bubble, wamid=receipt.wamid), BubbleState.ACCEPTED)
        case Unknown():
            step.spend(bubble.posted_ms, sure=posted_ms is not None)
            _unknown(step, replace(bubble, reason=receipt.reason), now_ms)
        case Refused():
            kind = classify(receipt.code, receipt.status)
            _refused(step, replace(bubble, error_code=receipt.code), kind, now_ms)
        case NotSent():
            kind = ErrorClass.AUTH if receipt.reason == "no_token" else ErrorClass.TRANSIENT
            _refused(step, replace(bubble, posted_ms=0, error_code=0), kind, now_ms)
        case _:
            assert_never(receipt)


def _withheld(step: GateStep, planned: Bubble, reason: str) -> None:
    """Let a bubble without a permit wait; a stopped account is told to a person at once.

    After a takeover nothing that the AI said before it is wanted any more.
    """
    told = planned.reason == reason
    bubble = replace(planned, attempt=planned.attempt - 1, reason=reason)
    step.put(bubble)
    if reason == TAKEN_OVER:
        _drop_older(step, bubble.epoch)
        return
    if reason == ErrorClass.ACCOUNT:
        step.end(bubble, BubbleState.FAILED, reason)
        return
    person_ms = person_due(step.state, bubble, step.settings)
    if person_ms is not None and step.now_ms >= person_ms:
        _to_person(step, bubble)
        return
    if not told:
        step.updated(bubble, BubbleState.PLANNED)
    rate = reason == "number_rate"
    due_ms = step.now_ms + (RATE_LOOK_MS if rate else HELD_LOOK_MS)
    timer = f"{'rate' if rate else 'held'}:{bubble.bubble_id}"
    step.arm(timer, due_ms if person_ms is None else min(due_ms, person_ms))


def _drop_older(step: GateStep, epoch: int) -> None:
    """Drop what the AI said up to an epoch that a person has ended."""
    for bubble in step.state.bubbles:
        if bubble.waits and bubble.author is Author.AI and bubble.epoch <= epoch:
            step.drop(bubble, TAKEN_OVER)


def _unknown(step: GateStep, bubble: Bubble, now_ms: int) -> None:
    """Keep it apart: it may have been sent, so it is never posted again."""
    bubble = replace(bubble, state=BubbleState.UNKNOWN)
    step.put(bubble)
    step.updated(bubble, BubbleState.UNKNOWN)
    step.arm(f"unknown_cap:{bubble.bubble_id}", now_ms + UNKNOWN_CAP_MS)


def _refused(step: GateStep, bubble: Bubble, kind: ErrorClass, now_ms: int) -> None:
    policy = POLICIES[kind]
    held = policy.action is Action.HOLD  # however long it lasts, it uses up no tries
    refusals = bubble.refusals + (not held)
    if kind is ErrorClass.WINDOW and not bubble.template and template_for(step.settings, bubble):
        _again(step, replace(bubble, template=True), kind, now_ms)
    elif policy.action is Action.FAIL:
        step.end(bubble, BubbleState.FAILED, str(kind), error_code=bubble.error_code)
    elif policy.action is Action.RETRY and refusals >= policy.attempts:
        step.end(bubble, BubbleState.FAILED, f"{kind}_exhausted", error_code=bubble.error_code)
    else:
        times = bubble.attempt - refusals if held else refusals
        wait = wait_ms(policy, times, f"{bubble.bubble_id}:{bubble.attempt}")
        _again(step, replace(bubble, refusals=refusals), kind, now_ms + wait)


def _to_person(step: GateStep, bubble: Bubble) -> None:
    reason = person_reason(bubble, step.settings)
    step.end(bubble, BubbleState.FAILED, reason, error_code=bubble.error_code)


def _again(step: GateStep, bubble: Bubble, kind: ErrorClass, due_ms: int) -> None:
    """Let a refused bubble wait for another try; a person has it when that comes too late."""
    person_ms = person_due(step.state, bubble, step.settings)
    if person_ms is not None and due_ms >= person_ms:
        _to_person(step, bubble)
        return
    bubble = replace(bubble, reason=str(kind))
    step.put(bubble)
    step.updated(bubble, BubbleState.PLANNED)
    held = POLICIES[kind].action is Action.HOLD
    step.arm(f"{'held' if held else 'retry'}:{bubble.bubble_id}", due_ms)
