"""Outbound, the gate: bubbles and markers -> WhatsApp, and what became of them.

``outbound.message.requested`` | ``inbox.status.received`` | ``outbound.timer.fired``
-> ``outbound.message.updated`` | ``outbound.message.settled``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import structlog

from agents.core.gate import Bubble, Gate
from agents.core.gate_plan import plan, unsent
from agents.core.gate_seen import seen
from agents.core.gate_settle import Posted, settle
from agents.core.gate_window import LONGEST_WAIT_MS, window_of
from agents.core.rate_queue import most_urgent
from agents.ports import (
    TAKEN_OVER,
    Accepted,
    Asked,
    BubbleClaims,
    Claimed,
    Claims,
    Clock,
    Courier,
    Delivery,
    Letter,
    NotSent,
    Observe,
    Permits,
    Read,
    Receipt,
    Refused,
    Tenants,
    Unknown,
    Withheld,
    unobserved,
)
from schemas.events import Author, Event

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


Ended = Callable[[Asked, Receipt | None], None]


Show = Callable[[Read], None]


def _nothing(_: Read, /) -> None:
    """Show nothing."""


def _nobody(_: Asked, __: Receipt | None, /) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the gate needs of the world.

    Attributes:
        claims: Rows that let an attempt be posted once, and what the AI says not after a takeover.
        permits: Who may send now.
        courier: Posts.
        tenants: Newest settings.
        clock: Tells the time.
        observe: Told what is counted.
        show: Shows a read receipt, best effort; returns at once.
        ended: Told what came of a bubble that had a permit; None: nothing was written.
    """

    claims: BubbleClaims
    permits: Permits
    courier: Courier
    tenants: Tenants
    clock: Clock
    ended: Ended = _nobody
    show: Show = _nothing
    observe: Observe = unobserved


async def outbound(
    state: Gate | None, event: Event, delivery: Delivery, *, desk: Desk
) -> tuple[Gate, tuple[Event, ...]]:
    """Handle one event of the gate; at most one message is posted in it.

    Raises:
        Rejected: The event can never be handled here.
        Unavailable: Postgres is down: no claim, so no effect; the event comes again.
    """
    after, effects = await _handled(state, event, delivery, desk)
    for observation in seen(state, after, effects):
        desk.observe(observation)
    return after, effects


async def _handled(
    state: Gate | None, event: Event, delivery: Delivery, desk: Desk
) -> tuple[Gate, tuple[Event, ...]]:
    planning = partial(
        plan,
        state,
        event,
        source=delivery.source,
        now_ms=delivery.now_ms,
        settings=desk.tenants.get(event.tenant_id),
    )
    planned = planning()
    posted = await posted_unwritten(unsent(state, planned.step.effects), desk)
    if posted is not None:
        planned = planning(posted=posted)
    if planned.read is not None:
        desk.show(planned.read)
    if planned.bubble is None or planned.letter is None:
        return planned.outcome
    asked = _asked(planned.step.state, planned.bubble)
    receipt, posted_ms = await _permitted(asked, planned.bubble, planned.letter, desk)
    return settle(planned, receipt, posted_ms=posted_ms, now_ms=desk.clock.now_ms())


async def posted_unwritten(ended: Iterable[tuple[str, int]], desk: Desk) -> Posted | None:
    """Return what was posted of attempts of bubbles that are to end unsent: of one at most.

    Raises:
        Unavailable: Postgres is down.
    """
    for bubble_id, attempt in ended:
        if (posted := await _posted_if_claimed(bubble_id, attempt, desk)) is not None:
            return Posted(bubble_id=bubble_id, receipt=posted, at_ms=desk.clock.now_ms())
    return None


def _asked(state: Gate, bubble: Bubble) -> Asked:
    return Asked(
        conversation_id=state.conversation_id,
        bubble_id=bubble.bubble_id,
        phone_number_id=bubble.phone_number_id,
        author=most_urgent((bubble.author, *(each.author for each in state.bubbles if each.waits))),
        deadline_ms=window_of(state, bubble) or bubble.requested_ms + LONGEST_WAIT_MS,
    )


async def _permitted(
    asked: Asked, bubble: Bubble, letter: Letter, desk: Desk
) -> tuple[Receipt | Withheld, int | None]:
    """Post with a permit; what was posted before the event came again needs none."""
    withheld = await desk.permits.ask(asked)
    if withheld is not None:
        posted = await _posted_if_claimed(bubble.bubble_id, bubble.attempt, desk)
        return posted or withheld, None
    written: Receipt | None = None
    try:
        receipt, posted_ms = await _post_once(asked, bubble, letter, desk)
        if posted_ms is not None and not isinstance(receipt, Withheld):
            written = receipt  # one that is from before says nothing of now
    finally:
        desk.ended(asked, written)
    return receipt, posted_ms


async def _post_once(
    asked: Asked, bubble: Bubble, letter: Letter, desk: Desk
) -> tuple[Receipt | Withheld, int | None]:
    """Claim the attempt and post it; without the claim return what the claim's holder wrote.

    What the AI says gets no claim once a takeover was written down, although the gate has not
    come to its marker yet.

    Returns:
        The result, and when the request was written; None when that is not known.
    """
    clock = desk.clock
    asked_ms = clock.now_ms()
    claimed = await _claimed(asked.conversation_id, bubble, desk.claims)
    if claimed == "barred":
        return Withheld(reason=TAKEN_OVER), None
    if claimed == "taken":
        return await _posted_before(bubble.bubble_id, bubble.attempt, desk), None
    posted_ms = clock.now_ms()
    until_ms = asked_ms + CLAIM_VALID_MS
    if letter.template is None:  # permit and claim may have taken what was left of its window
        until_ms = min(until_ms, asked.deadline_ms)
    receipt = await desk.courier.post(letter, until_ms=until_ms)
    await _note(desk.claims, bubble, receipt)
    return receipt, posted_ms


async def _claimed(conversation_id: str, bubble: Bubble, claims: BubbleClaims) -> Claimed:
    if bubble.author is Author.AI:
        return await claims.claim_ai(
            bubble.bubble_id, bubble.attempt, conversation_id, bubble.epoch
        )
    given = await claims.claim("bubble", bubble.bubble_id, bubble.attempt)
    return "given" if given else "taken"


async def _posted_if_claimed(bubble_id: str, attempt: int, desk: Desk) -> Receipt | None:
    """Return what was posted with the claim of an attempt, or None when nobody took it."""
    if not await desk.claims.taken("bubble", bubble_id, attempt):
        return None
    return await _posted_before(bubble_id, attempt, desk)


async def _posted_before(bubble_id: str, attempt: int, desk: Desk) -> Receipt:
    stored = await desk.claims.result("bubble", bubble_id, attempt)
    return _read(stored) if stored else Unknown(reason="claimed")


async def _note(claims: Claims, bubble: Bubble, receipt: Receipt) -> None:
    """Write the result beside the claim; the message is out, so a failure must not repeat it."""
    try:
        await claims.settle("bubble", bubble.bubble_id, bubble.attempt, _written(receipt))
    except Exception as exc:  # noqa: BLE001 - whoever tried again would find the claim, no result
        log.warning("claim.result_lost", bubble_id=bubble.bubble_id, error=type(exc).__name__)


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
