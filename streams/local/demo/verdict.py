"""What the demo must have shown, and the table that says what it did. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sinks.ports import Recorded
from streams.local.demo.cast import Post
from streams.local.load.checker import Violation, check
from streams.local.load.history import Accepted, History, Sent, history


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One inbound message.

    Attributes:
        name: What was posted.
        wamid: Its id.
        outcome: How it ended.
        reason: Why.
        bubbles: Bubbles that followed from it and that WhatsApp accepted.
    """

    name: str
    wamid: str
    outcome: str
    reason: str
    bubbles: int


def known_of(
    posts: Sequence[Post], records: Iterable[Recorded], accepted: Iterable[Accepted]
) -> History:
    """Index what happened to the posted messages."""
    sent: list[Sent] = [message for post in posts for message in post.sent]
    return history(sent, records, accepted)


def rows(posts: Sequence[Post], known: History) -> Iterator[Row]:
    """Yield a row for every inbound message, once each, in the order of posting."""
    seen: set[str] = set()
    for post in posts:
        for message in post.sent:
            if message.wamid not in seen:
                seen.add(message.wamid)
                yield _row(post.name, message.wamid, known)


def _row(name: str, wamid: str, known: History) -> Row:
    outcomes = known.outcomes.get(wamid, [])
    return Row(
        name=name,
        wamid=wamid,
        outcome=", ".join(str(outcome.kind) for outcome in outcomes) or "none",
        reason=", ".join(outcome.reason for outcome in outcomes),
        bubbles=len(_answers(wamid, known) & {each.bubble_id for each in known.accepted}),
    )


def _answers(wamid: str, known: History) -> set[str]:
    """Return the bubbles of a message's turns, and of the step in which it ended."""
    turns = {outcome.turn_id for outcome in known.outcomes.get(wamid, []) if outcome.turn_id}
    causes = {
        step.cause
        for step in known.steps.get(known.conversation(wamid), [])
        if any(outcome.wamid == wamid for outcome in step.outcomes)
    }
    return {
        bubble_id
        for bubble_id, asked in known.requested.items()
        if asked.turn_id in turns or asked.cause in causes
    }


def expected_rows(known: History) -> dict[str, int]:
    """Return how many rows Postgres must have of this run's conversations."""
    conversations = {known.conversation(wamid) for wamid in known.received}
    return {
        "conversations": len(conversations),
        "outcomes": len({message.wamid for message in known.sent}),
        "sent": len(known.accepted),
    }


def verdict(
    known: History, missing: Iterable[Violation], stored: Mapping[str, int]
) -> list[Violation]:
    """Return everything that is not as it must be; empty is success."""
    wrong_rows = [
        Violation("postgres", name, f"{stored.get(name, 0)} rows, not {wanted}")
        for name, wanted in expected_rows(known).items()
        if stored.get(name, 0) != wanted
    ]
    return [*check(known), *missing, *wrong_rows]


def customers_of(known: History) -> tuple[list[str], list[str], list[str]]:
    """Return conversations, customers and bubbles of a run, for asking Postgres."""
    events = [records[0].event for records in known.received.values()]
    return (
        sorted({event.conversation_id for event in events}),
        sorted({event.customer_id for event in events}),
        sorted(known.requested),
    )
