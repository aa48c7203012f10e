"""Promise I2 seen from outside: the steps of a conversation decide each topic in its order. Pure.

Dispatch's numbers are looked at in ``streams.local.load.checker``; here it is what the steps of
every stage are about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from schemas.events import Cause
from schemas.topics import STATEFUL_STAGES, TOPICS
from streams.local.chaos.story import Story

STAGE_OF: Final = {
    topic.name: topic.writers[0]
    for topic in TOPICS
    if len(topic.writers) == 1 and topic.writers[0] in STATEFUL_STAGES
}
"""Which stage writes a topic, of those that only one writes."""


def out_of_order(told: Story) -> Iterator[tuple[str, str]]:
    """Yield each step that decided a record before an earlier one of the same topic."""
    for (stage, conversation_id), causes in steps_of(told).items():
        reached: dict[str, int] = {}
        for seq in sorted(causes):
            cause = causes[seq]
            if cause.offset <= reached.get(cause.topic, -1):
                yield conversation_id, f"step {seq} of {stage}: {cause.topic} out of its order"
            reached[cause.topic] = max(cause.offset, reached.get(cause.topic, -1))


def steps_of(told: Story) -> dict[tuple[str, str], dict[int, Cause]]:
    """Return what each numbered step decided, by its stage and conversation."""
    steps: dict[tuple[str, str], dict[int, Cause]] = defaultdict(dict)
    for record in told.records:
        stage, cause = STAGE_OF.get(record.position.topic), record.event.cause
        if stage and cause and cause.seq:  # number 0 is outside the order
            steps[stage, record.event.conversation_id][cause.seq] = cause
    return steps


def scattered(told: Story) -> Iterator[tuple[str, str]]:
    """Yield each message that is in another conversation than its customer's first one.

    Between two conversations there is no order.
    """
    homes: dict[str, str] = {}
    for message in told.known.sent:
        whose = told.known.conversation(message.wamid)
        if whose and homes.setdefault(message.customer, whose) != whose:
            yield message.wamid, "in another conversation than its customer's first message"
