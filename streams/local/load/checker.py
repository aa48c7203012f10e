"""Judges a load: every rule that was broken, with the message or bubble that broke it. Pure.

The rules are the promises I1 to I4 as they can be seen from outside: from the topics and from
what the simulator accepted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from schemas.events import BubbleState, OutcomeKind
from streams.local.load.history import History

Rule = Callable[[History], Iterator[tuple[str, str]]]
"""Yields (id of what broke it, in words without private text)."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule.

    Attributes:
        rule: Name of the rule.
        about: Message, bubble, turn or conversation that broke it.
        detail: How.
    """

    rule: str
    about: str
    detail: str


def check(known: History) -> list[Violation]:
    """Return every violation, in the order of the rules."""
    return [
        Violation(name, about, detail)
        for name, rule in RULES.items()
        for about, detail in rule(known)
    ]


def _on_the_log(known: History) -> Iterator[tuple[str, str]]:
    """I1: every message that was answered with 200 is on the log."""
    for message in known.sent:
        if message.wamid not in known.received:
            yield message.wamid, "answered with 200, but not on the log"


def _one_outcome(known: History) -> Iterator[tuple[str, str]]:
    """I3: every message ends in exactly one outcome of the expected kind.

    Being parked is the end of a message only as long as it did not come back.
    """
    for message in known.sent:
        outcomes = known.outcomes.get(message.wamid, [])
        if len(outcomes) > 1 and outcomes[0].kind is OutcomeKind.PARKED:
            outcomes = outcomes[1:]
        if len(outcomes) != 1:
            yield message.wamid, f"{len(outcomes)} outcomes"
        elif outcomes[0].kind not in message.expects:
            yield message.wamid, f"{outcomes[0].kind} ({outcomes[0].reason})"


def _covered(known: History) -> Iterator[tuple[str, str]]:
    """An answer names the turn that covered the message, and that turn did cover it."""
    for message in known.sent:
        for outcome in known.outcomes.get(message.wamid, []):
            if outcome.turn_id is None:
                if outcome.kind is OutcomeKind.ANSWERED:
                    yield message.wamid, "answered, but names no turn"
                continue
            turn = known.turns.get(outcome.turn_id)
            if turn is None or message.wamid not in turn.wamids:
                yield message.wamid, f"turn {outcome.turn_id} did not cover it"


def _log_order(known: History) -> Iterator[tuple[str, str]]:
    """I2: a customer's messages are on the log in the order of sending."""
    for before, after in pairwise(known.sent):
        if before.customer != after.customer:
            continue
        first, second = known.received.get(before.wamid), known.received.get(after.wamid)
        if first and second and first[0].position.offset >= second[0].position.offset:
            yield after.wamid, f"on the log before number {before.sequence}"


def _turn_order(known: History) -> Iterator[tuple[str, str]]:
    """I2: turns cover messages in the order of the log, inside a turn and from turn to turn."""
    reached: dict[str, int] = {}
    offsets = {wamid: records[0].position.offset for wamid, records in known.received.items()}
    for message in sorted(known.sent, key=lambda each: offsets.get(each.wamid, 0)):
        for outcome in known.outcomes.get(message.wamid, []):
            turn = known.turns.get(outcome.turn_id or "")
            if turn is None:
                continue
            if turn.turn_seq < reached.get(turn.conversation_id, 0):
                yield message.wamid, f"in turn {turn.turn_seq}, earlier ones in a later turn"
            reached[turn.conversation_id] = max(turn.turn_seq, reached.get(turn.conversation_id, 0))
    for turn in known.turns.values():
        places = [offsets.get(wamid, 0) for wamid in turn.wamids]
        if places != sorted(places):
            yield turn.turn_id, "covers messages in another order than the log"


def _steps_once(known: History) -> Iterator[tuple[str, str]]:
    """I2: dispatch's steps are numbered upwards and no number comes twice."""
    for conversation_id, steps in known.steps.items():
        # Number 0 is outside the order: what was said while the state could not be read.
        numbers = [step.cause.seq for step in steps if step.cause and step.cause.seq]
        if any(after != before + 1 for before, after in pairwise(numbers)):
            yield conversation_id, "steps are repeated, missing or out of order"


def _sent_once(known: History) -> Iterator[tuple[str, str]]:
    """I4: the simulator accepted no bubble twice."""
    for bubble_id, times in Counter(each.bubble_id for each in known.accepted).items():
        if bubble_id and times > 1:
            yield bubble_id, f"accepted {times} times"


def _answered_once(known: History) -> Iterator[tuple[str, str]]:
    """I4: one place of one answer is one bubble."""
    places: dict[tuple[str, int], str] = {}
    for bubble in known.requested.values():
        if bubble.turn_id is None:
            continue
        place = (bubble.turn_id, bubble.ordinal)
        if places.setdefault(place, bubble.bubble_id) != bubble.bubble_id:
            yield bubble.turn_id, f"two bubbles at place {bubble.ordinal}"


def _asked_for(known: History) -> Iterator[tuple[str, str]]:
    """Nothing is sent that dispatch did not ask for, or that the gate dropped."""
    for each in known.accepted:
        if each.bubble_id not in known.requested:
            yield each.bubble_id or each.wamid, "accepted, but nobody asked for it"
        elif any(e.state is BubbleState.DROPPED for e in known.settled.get(each.bubble_id, [])):
            yield each.bubble_id, "accepted, though the gate dropped it"


def _settled_once(known: History) -> Iterator[tuple[str, str]]:
    """Every bubble settles exactly once; an accepted one is at the simulator."""
    there = {each.bubble_id for each in known.accepted}
    for bubble_id in known.requested:
        ends = known.settled.get(bubble_id, [])
        if len(ends) != 1:
            yield bubble_id, f"settled {len(ends)} times"
        elif ends[0].state is BubbleState.ACCEPTED and bubble_id not in there:
            yield bubble_id, "settled as accepted, but missing at the simulator"
        elif ends[0].state in (BubbleState.FAILED, BubbleState.UNKNOWN):
            yield bubble_id, f"not sent: {ends[0].state} ({ends[0].error_code} {ends[0].reason})"


def _answers_arrive(known: History) -> Iterator[tuple[str, str]]:
    """A message counts as answered only when its turn asked for a bubble."""
    spoke = {bubble.turn_id for bubble in known.requested.values()}
    for wamid, outcomes in known.outcomes.items():
        for outcome in outcomes:
            if outcome.kind is OutcomeKind.ANSWERED and outcome.turn_id not in spoke:
                yield wamid, "answered without a bubble"


def _bubble_order(known: History) -> Iterator[tuple[str, str]]:
    """Bubbles reach a customer in the order in which dispatch asked for them."""
    place = {bubble_id: number for number, bubble_id in enumerate(known.requested)}
    reached: dict[str, int] = {}
    for each in sorted(known.accepted, key=lambda a: a.number):
        bubble = known.requested.get(each.bubble_id)
        if bubble is None:
            continue
        if place[each.bubble_id] < reached.get(bubble.conversation_id, -1):
            yield each.bubble_id, "after a bubble that was asked for later"
        reached[bubble.conversation_id] = max(
            place[each.bubble_id], reached.get(bubble.conversation_id, -1)
        )


RULES: Final[dict[str, Rule]] = {
    "on_the_log": _on_the_log,
    "one_outcome": _one_outcome,
    "covered": _covered,
    "log_order": _log_order,
    "turn_order": _turn_order,
    "steps_once": _steps_once,
    "sent_once": _sent_once,
    "answered_once": _answered_once,
    "asked_for": _asked_for,
    "settled_once": _settled_once,
    "answers_arrive": _answers_arrive,
    "bubble_order": _bubble_order,
}
"""Every rule, by the name that a report gives."""
