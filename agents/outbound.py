"""Outbound, the gate: bubbles and markers -> WhatsApp, and what became of them.

``outbound.message.requested`` | ``inbox.status.received`` | ``outbound.timer.fired``
-> ``outbound.message.updated`` | ``outbound.message.settled``.
"""

from __future__ import annotations

from typing import Final

import msgspec
import structlog

from agents.core.gate import Bubble, Gate
from agents.core.gate_plan import plan
from agents.core.gate_settle import settle
from agents.ports import (
    Accepted,
    Claims,
    Clock,
    Courier,
    Delivery,
    Letter,
    NotSent,
    Receipt,
    Refused,
    Unknown,
)
from schemas.errors import Unavailable
from schemas.events import Event

log = structlog.get_logger(__name__)

CLAIM_VALID_MS: Final = 5_000
"""How old a claim may be when the request is written: a process that was frozen longer
may not write any more, because a takeover may have been applied elsewhere meanwhile."""

_RECEIPTS: Final[dict[str, type[Receipt]]] = {
    "accepted": Accepted,
    "refused": Refused,
    "unknown": Unknown,
    "not_sent": NotSent,
}


async def outbound(
    state: Gate | None,
    event: Event,
    delivery: Delivery,
    *,
    claims: Claims,
    courier: Courier,
    clock: Clock,
) -> tuple[Gate, tuple[Event, ...]]:
    """Handle one event of the gate; at most one message is posted in it.

    Raises:
        Rejected: The event can never be handled here.
        Unavailable: Postgres is down: no claim, so no effect; the event comes again.
    """
    planned = plan(state, event, source=delivery.source, now_ms=delivery.now_ms)
    if planned.bubble is None or planned.letter is None:
        return planned.outcome
    receipt, posted_ms = await _post_once(planned.bubble, planned.letter, claims, courier, clock)
    return settle(planned, receipt, posted_ms=posted_ms, now_ms=clock.now_ms())


async def _post_once(
    bubble: Bubble, letter: Letter, claims: Claims, courier: Courier, clock: Clock
) -> tuple[Receipt, int]:
    """Claim the attempt and post it; without the claim return what the claim's holder wrote.

    Returns:
        The result, and when the request was written (now, when that is not known).
    """
    asked_ms = clock.now_ms()
    if not await claims.claim("bubble", bubble.bubble_id, bubble.attempt):
        stored = await claims.result("bubble", bubble.bubble_id, bubble.attempt)
        return (_read(stored) if stored else Unknown(reason="claimed")), clock.now_ms()
    posted_ms = clock.now_ms()
    if posted_ms - asked_ms > CLAIM_VALID_MS:
        receipt: Receipt = NotSent(reason="claim_expired")
    else:
        receipt = await courier.post(letter)
    await _note(claims, bubble, receipt)
    return receipt, posted_ms


async def _note(claims: Claims, bubble: Bubble, receipt: Receipt) -> None:
    """Write the result beside the claim; the message is out, so a failure must not repeat it."""
    try:
        await claims.settle("bubble", bubble.bubble_id, bubble.attempt, _written(receipt))
    except Unavailable as exc:
        log.warning("claim.result_lost", bubble_id=bubble.bubble_id, service=exc.service)


def _written(receipt: Receipt) -> str:
    kind = next(name for name, record in _RECEIPTS.items() if isinstance(receipt, record))
    return msgspec.json.encode({"kind": kind, "receipt": receipt}).decode()


def _read(stored: str) -> Receipt:
    """Read a stored result; one that cannot be read is as good as none."""
    try:
        found = msgspec.json.decode(stored)
        return msgspec.convert(found["receipt"], _RECEIPTS[found["kind"]])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return Unknown(reason="claimed")
