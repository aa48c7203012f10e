"""What the result of a POST means for a bubble."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

from agents.core.gate import Bubble, Gate
from agents.core.gate_plan import Plan
from agents.core.gate_step import GateStep
from agents.core.whatsapp_errors import POLICIES, Action, ErrorClass, classify, wait_ms
from agents.ports.whatsapp import Accepted, NotSent, Receipt, Refused, Unknown
from schemas.events import BubbleState, Event

UNKNOWN_CAP_MS: Final = 60_000
"""How long a status may take to prove an unknown result, before a person gets it."""


def settle(
    plan: Plan, receipt: Receipt, *, posted_ms: int, now_ms: int
) -> tuple[Gate, tuple[Event, ...]]:
    """Apply the result of a plan's POST.

    Args:
        plan: The plan whose letter was posted.
        receipt: What came of it.
        posted_ms: When it was written.
        now_ms: When the result was there; waits are measured from it.
    """
    if plan.bubble is None:
        return plan.outcome
    step, bubble = plan.step.copy(), replace(plan.bubble, posted_ms=posted_ms)
    match receipt:
        case Accepted():
            step.end(replace(bubble, wamid=receipt.wamid), BubbleState.ACCEPTED)
        case Unknown():
            _unknown(step, replace(bubble, reason=receipt.reason), now_ms)
        case Refused():
            kind = classify(receipt.code, receipt.status)
            _refused(step, replace(bubble, error_code=receipt.code), kind, now_ms)
        case NotSent():
            kind = ErrorClass.AUTH if receipt.reason == "no_token" else ErrorClass.TRANSIENT
            _refused(step, replace(bubble, posted_ms=0, error_code=0), kind, now_ms)
        case _:
            assert_never(receipt)
    wake_next(step, now_ms)
    return step.state, tuple(step.effects)


def _unknown(step: GateStep, bubble: Bubble, now_ms: int) -> None:
    """Keep it apart: it may have been sent, so it is never posted again."""
    bubble = replace(bubble, state=BubbleState.UNKNOWN)
    step.put(bubble)
    step.updated(bubble, BubbleState.UNKNOWN)
    step.arm(f"unknown_cap:{bubble.bubble_id}", now_ms + UNKNOWN_CAP_MS)


def _refused(step: GateStep, bubble: Bubble, kind: ErrorClass, now_ms: int) -> None:
    policy = POLICIES[kind]
    if policy.action is Action.FAIL:
        step.end(bubble, BubbleState.FAILED, str(kind), error_code=bubble.error_code)
    elif policy.action is Action.RETRY and bubble.attempt >= policy.attempts:
        step.end(bubble, BubbleState.FAILED, f"{kind}_exhausted", error_code=bubble.error_code)
    else:
        bubble = replace(bubble, reason=str(kind))
        step.put(bubble)
        step.updated(bubble, BubbleState.PLANNED)
        seed = f"{bubble.bubble_id}:{bubble.attempt}"
        due_ms = now_ms + wait_ms(policy, bubble.attempt, seed)
        step.arm(f"retry:{bubble.bubble_id}", due_ms)


def wake_next(step: GateStep, now_ms: int) -> None:
    """Let the next bubble go by an event of its own: one event makes at most one POST."""
    head = step.state.head
    if head is None or f"retry:{head.bubble_id}" in step.state.timers:
        step.disarm("next")
    else:
        step.arm("next", now_ms)
