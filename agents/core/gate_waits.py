"""What the bubble at the head of the queue may have to wait for, each with a timer of its own.

``retry:<bubble>``: another try after a refusal. ``held:<bubble>``: its channel may send again.
``rate:<bubble>``: a permit of its number. ``pair:<bubble>``: the customer's own limit.
``order:<bubble>``: the part of the answer before it is delivered.

The first three end by their timer only, and the third when somebody more urgent comes behind it.
The last two follow from the state, so they are looked at again whenever something happens.
"""

from __future__ import annotations

from typing import Final

from agents.core.gate import Bubble, Gate, Pair
from schemas.changing import replace
from schemas.events import BubbleState, DeliveryStatus

STOPPED: Final = ("retry", "held", "rate")
TIMERS: Final = (*STOPPED, "pair", "order", "unknown_cap")
"""Every timer that a bubble may have."""

PAIR_EVERY_MS: Final = 6_000
PAIR_BURST: Final = 44
PAIR_MARGIN_MS: Final = 1_000
"""WhatsApp takes one message every 6 s for a customer; up to 45 go within 6 s, borrowed from the
time to come, and then nothing goes before all of it has passed. One less, and a second of
distance to both ends: WhatsApp counts when a request arrives, not when it is written.

Source: WhatsApp Cloud API, "Pair rate limits": 20 messages at once are followed by two minutes.
"""

SKEW_MS: Final = 5_000
"""Clocks of one installation agree better than this."""

ARRIVED: Final = frozenset(
    {DeliveryStatus.DELIVERED, DeliveryStatus.READ, DeliveryStatus.PLAYED, DeliveryStatus.FAILED}
)
"""After one of these a later message cannot overtake."""


def timers_of(bubble: Bubble) -> tuple[str, ...]:
    """Return the names of all timers that a bubble may have."""
    return tuple(f"{name}:{bubble.bubble_id}" for name in TIMERS)


def stopped(state: Gate, bubble: Bubble) -> bool:
    """Say whether a bubble waits for a timer of its own, whatever else happens."""
    return any(f"{name}:{bubble.bubble_id}" in state.timers for name in STOPPED)


def order_due(state: Gate, bubble: Bubble, wait_ms: int) -> int:
    """Return until when a part of an answer waits for the part before it; 0 is not at all.

    WhatsApp does not promise to deliver in the order of sending. Phones that are off are not
    waited for longer than ``wait_ms``.
    """
    before = _part_before(state, bubble)
    if (
        wait_ms <= 0
        or before is None
        or before.state not in (BubbleState.ACCEPTED, BubbleState.UNKNOWN)
    ):
        return 0
    if ARRIVED & before.statuses.keys():
        return 0
    return before.posted_ms + wait_ms


def _part_before(state: Gate, bubble: Bubble) -> Bubble | None:
    found = None
    for each in state.bubbles:
        if each.bubble_id == bubble.bubble_id:
            break
        same = (each.turn_id, each.author) == (bubble.turn_id, bubble.author)
        if same and each.ordinal < bubble.ordinal:
            found = each
    return found


def pair_due(pair: Pair, now_ms: int) -> int:
    """Return from when one more message may be sent to the customer; now, if it may be now."""
    within = now_ms < pair.began_ms + PAIR_EVERY_MS - PAIR_MARGIN_MS
    return now_ms if within and pair.count < PAIR_BURST else pair.paid_ms


def noticed(state: Gate, now_ms: int) -> Gate:
    """Return the gate without times of sending that are still to come: they end now.

    Nothing was sent in the future: a clock was ahead. What is counted from such a time would
    last longer by as much, so it is counted from when this is noticed.
    """
    pair = state.pair
    if pair.paid_ms <= now_ms:  # whatever was sent was paid for later
        return state
    ahead_ms = pair.began_ms - now_ms
    if ahead_ms > SKEW_MS:
        state = replace(state, pair=replace(pair, began_ms=now_ms, paid_ms=pair.paid_ms - ahead_ms))
    late_ms = now_ms + SKEW_MS
    if not any(each.posted_ms > late_ms for each in state.bubbles):
        return state
    bubbles = (
        replace(each, posted_ms=now_ms) if each.posted_ms > late_ms else each
        for each in state.bubbles
    )
    return replace(state, bubbles=tuple(bubbles))


def pair_spent(pair: Pair, posted_ms: int) -> Pair:
    """Return the burst with one more message."""
    if posted_ms >= pair.paid_ms:
        pair = Pair(began_ms=posted_ms, paid_ms=posted_ms + PAIR_MARGIN_MS)
    return replace(pair, count=pair.count + 1, paid_ms=pair.paid_ms + PAIR_EVERY_MS)


def pair_doubted(pair: Pair, now_ms: int) -> Pair:
    """Return the burst with one more message, which was posted before now, nobody knows when.

    One that it began may be over already, so nothing more is borrowed in it.
    """
    spent = pair_spent(pair, now_ms)
    return spent if now_ms < pair.paid_ms else replace(spent, count=PAIR_BURST)
