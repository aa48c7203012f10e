"""What a step of the gate shows of itself: for counting, never for deciding."""

from __future__ import annotations

from collections.abc import Iterator

from agents.core.gate import Gate
from agents.ports.observation import BubbleMoved, BubbleSettled, Observation, UnknownBubbles
from schemas.events import BubbleState, Event, OutboundKind, OutboundSettled, OutboundUpdated


def seen(before: Gate | None, after: Gate, effects: tuple[Event, ...]) -> Iterator[Observation]:
    """Yield what is counted of one step.

    Args:
        before: The gate before it; None at first.
        after: The gate after it.
        effects: What it said.
    """
    unknown = _unknown(before)
    for effect in effects:
        match effect:
            case OutboundUpdated():
                yield BubbleMoved(state=str(effect.state), reason=_code(effect.reason))
            case OutboundSettled(kind=OutboundKind.MESSAGE):
                yield BubbleSettled(
                    state=str(effect.state),
                    reason=_code(effect.reason),
                    unknown=effect.bubble_id in unknown,
                )
            case _:
                pass
    if (left := _unknown(after)) != unknown:
        yield UnknownBubbles(conversation_id=after.conversation_id, count=len(left))


def _unknown(state: Gate | None) -> frozenset[str]:
    bubbles = state.bubbles if state is not None else ()
    return frozenset(
        each.bubble_id for each in bubbles if each.state is BubbleState.UNKNOWN and not each.settled
    )


def _code(reason: str) -> str:
    """Return a reason without what follows its colon: labels are few."""
    return reason.partition(":")[0]
