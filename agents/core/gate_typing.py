"""Read receipt and typing indicator: they follow the turn, best effort.

Shown when dispatch says that a turn starts, again while it goes on, and no more once something is
to be sent, a person has taken over or dispatch says that nothing is answered. Nothing waits for
them and nothing is settled.

Source: WhatsApp Cloud API, "Typing indicators": shown for 25 s, or until a message is sent.
"""

from __future__ import annotations

from typing import Final

from agents.core.gate import Typing
from agents.core.gate_step import GateStep
from agents.ports.whatsapp import Read
from schemas.events import OutboundRequested

AGAIN_MS: Final = 20_000
LONGEST_MS: Final = 90_000
"""A turn that takes longer is given to a person."""
TIMER: Final = "typing"


def on_read(step: GateStep, event: OutboundRequested) -> None:
    """Show that the customer's message was read, unless a person has taken over since.

    Without a message nothing is written any more: the customer has revoked all.
    """
    if not event.read_wamid:
        stop(step)
        return
    if event.epoch < step.state.floor:
        return
    until_ms = min(event.occurred_at, step.now_ms) + LONGEST_MS  # clocks differ
    typing = Typing(
        phone_number_id=event.phone_number_id, wamid=event.read_wamid, until_ms=until_ms
    )
    step.change(typing=typing)
    _show(step, typing)


def go_on(step: GateStep) -> None:
    """Show it again: WhatsApp forgets it after 25 s."""
    if step.state.typing is not None:
        _show(step, step.state.typing)


def stop(step: GateStep) -> None:
    """Show it no more."""
    if step.state.typing is not None:
        step.change(typing=None)
        step.disarm(TIMER)


def _show(step: GateStep, typing: Typing) -> None:
    if step.now_ms >= typing.until_ms:
        stop(step)
        return
    step.read = Read(phone_number_id=typing.phone_number_id, wamid=typing.wamid)
    step.arm(TIMER, step.now_ms + AGAIN_MS)
