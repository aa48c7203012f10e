"""Which bubble is posted now: the head of the queue, unless it has to wait."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from agents.core.gate import Bubble, Gate
from agents.core.gate_step import GateStep
from agents.core.gate_waits import order_due, pair_due, stopped
from agents.core.gate_window import (
    LONGEST_WAIT_MS,
    PERSON_MARGIN_MS,
    TEMPLATE_UNSENT,
    person_due,
    person_reason,
    template_for,
    window_of,
)
from agents.ports.whatsapp import Letter, Read, Template
from schemas.changing import replace
from schemas.events import BubbleState, Event, TimerFired

DELIVERED_WAIT_MS: Final = 2_000
"""How long a part waits for the delivery of the part before it, for a tenant that is not known."""


class Plan(Struct, frozen=True, kw_only=True):
    """What to do about one event.

    Attributes:
        step: The step so far; ``settle`` goes on with it.
        bubble: The bubble to post now, with its new attempt; None when there is none.
        letter: What to post.
        read: The receipt to show, best effort.
    """

    step: GateStep
    bubble: Bubble | None = None
    letter: Letter | None = None
    read: Read | None = None

    @property
    def outcome(self) -> tuple[Gate, tuple[Event, ...]]:
        """The state after the event and what to say, when nothing is to be posted."""
        return self.step.state, tuple(self.step.effects)


def choose(step: GateStep) -> Plan:
    """Choose the bubble to post, and end those that can never be sent."""
    plan = Plan(step=step, read=step.read)
    while (head := step.state.head) is not None:
        if stopped(step.state, head):
            break
        reason, template = _carried(step, head)
        if reason and template is None:
            step.end(head, BubbleState.FAILED, reason, error_code=head.error_code)
            continue
        if not _waits(step, head):
            plan = _post(step, head, template)
        break
    step.disarm("next")
    return plan


def _carried(step: GateStep, head: Bubble) -> tuple[str, Template | None]:
    """Return why a bubble must not be sent as it is, and the template that carries it then.

    What is at the gate again after a long time, the gate having been away, is a person's.
    """
    reason = too_late(step, head)
    if not head.template and reason != "window_closed":
        return reason, None
    template = template_for(step.settings, head)
    person_ms = person_due(step.state, head, step.settings)
    late = person_ms is not None and step.now_ms >= person_ms + PERSON_MARGIN_MS
    if template is not None and late:
        return TEMPLATE_UNSENT, None
    return reason or "window", template


def too_late(step: GateStep, bubble: Bubble) -> str:
    """Return why a bubble that waits must not be sent any more, or nothing."""
    window = window_of(step.state, bubble)
    if window is not None and step.now_ms >= window:
        return "window_closed"  # first: a tenant may have a template for it
    if step.now_ms - bubble.requested_ms >= LONGEST_WAIT_MS:
        return "expired"
    return person_reason(bubble, step.settings) if _waits_too_long(step, bubble) else ""


def _waits_too_long(step: GateStep, bubble: Bubble) -> bool:
    """Say whether the customer's own limit lasts until a person must have the bubble."""
    person_ms = person_due(step.state, bubble, step.settings)
    now_ms = _reached_ms(step, f"pair:{bubble.bubble_id}")
    return person_ms is not None and _pair_due(step, bubble, now_ms) >= max(person_ms, now_ms + 1)


def wake_next(step: GateStep, now_ms: int) -> None:
    """Let the next bubble go by an event of its own: one event makes at most one POST."""
    step.disarm("next")
    head = step.state.head
    if head is None or stopped(step.state, head):
        return
    due_ms = _order_due(step, head, now_ms)
    if due_ms > now_ms:
        step.arm(f"order:{head.bubble_id}", due_ms)
    else:
        step.arm("next", now_ms)


def _waits(step: GateStep, head: Bubble) -> bool:
    """Let the head wait for the part before it, or for the customer's own limit."""
    for name in ("order", "pair"):
        timer = f"{name}:{head.bubble_id}"
        now_ms = _reached_ms(step, timer)
        due_ms = _DUE[name](step, head, now_ms)
        if due_ms > now_ms:
            step.arm(timer, due_ms)
            if name == "pair" and head.reason != "pair_rate":
                waiting = replace(head, reason="pair_rate")
                step.put(waiting)
                step.updated(waiting, BubbleState.PLANNED)
            return True
        step.disarm(timer)
    return False


def _order_due(step: GateStep, head: Bubble, _: int) -> int:
    """Wait for no delivery so long that the window closes: what can be sent is sent within it."""
    due_ms = order_due(step.state, head, _delivered_wait_ms(step))
    window = window_of(step.state, head)
    person_ms = person_due(step.state, head, None)
    if window is None or person_ms is None or step.now_ms >= window:
        return due_ms
    return min(due_ms, person_ms)


def _pair_due(step: GateStep, head: Bubble, now_ms: int) -> int:
    """A number without a limit, a simulator's, has none for a customer either."""
    channels = step.settings.channels if step.settings else ()
    for channel in channels:
        if channel.phone_number_id == head.phone_number_id and not channel.messages_per_second:
            return 0
    return pair_due(step.state.pair, now_ms)


_DUE: Final = {"order": _order_due, "pair": _pair_due}


def _reached_ms(step: GateStep, timer: str) -> int:
    """Return the time, which a timer that fired proves even if this clock is behind."""
    if step.fired == timer and isinstance(step.event, TimerFired):
        return max(step.now_ms, step.event.due_at)
    return step.now_ms


def _delivered_wait_ms(step: GateStep) -> int:
    return step.settings.delivered_wait_ms if step.settings else DELIVERED_WAIT_MS


def _post(step: GateStep, head: Bubble, template: Template | None) -> Plan:
    bubble = replace(head, attempt=head.attempt + 1, template=template is not None)
    state = step.state
    callback = (state.tenant_id, state.conversation_id, state.customer_id, bubble.bubble_id)
    letter = Letter(
        tenant_id=state.tenant_id,
        phone_number_id=bubble.phone_number_id,
        wa_id=bubble.wa_id,
        user_id=bubble.user_id,
        text=bubble.text or "",
        reply_to_wamid=bubble.reply_to_wamid,
        callback_data="|".join(("v1", *callback, str(bubble.attempt))),
        template=template,
    )
    step.put(bubble)
    return Plan(step=step, bubble=bubble, letter=letter, read=step.read)
