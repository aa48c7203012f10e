"""What WhatsApp has taken, held against what it was asked to take. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from agents.outbound import CLAIM_VALID_MS
from schemas.events import Author, MessageReceived, OutboundKind, OutboundSettled
from streams.local.chaos.story import Story

SKEWED: Final = "F14"
"""Its clocks differ on purpose, so they cannot be compared."""


def addressed(told: Story) -> Iterator[tuple[str, str]]:
    """I4: what is sent says which bubble it is, and goes to the customer whose conversation it is.

    A bubble that is sent again without its id would be a bubble of nobody's.
    """
    people: dict[str, set[str]] = defaultdict(set)
    for event in (record.event for record in told.of(MessageReceived)):
        if isinstance(event, MessageReceived):
            names = (event.sender.wa_id, event.sender.user_id)
            people[event.conversation_id] |= set(filter(None, names))
    everybody = set().union(*people.values())
    for each in told.taken:
        bubble = told.known.requested.get(each.bubble_id)
        if not each.conversation_id:
            yield each.wamid, "sent, and nothing says which bubble it is"
        elif bubble is None and each.to in everybody:
            yield each.bubble_id, "sent, and nobody asked for it"
        elif bubble is not None and bubble.conversation_id != each.conversation_id:
            yield each.bubble_id, "sent in the name of another conversation"
        if bubble is not None and each.to and each.to not in people[bubble.conversation_id]:
            yield each.bubble_id, "sent to another customer"


def sent_late(told: Story) -> Iterator[tuple[str, str]]:
    """I5: once the gate has applied a marker, WhatsApp takes no AI bubble of an older epoch.

    The gate's own steps do not tell of a bubble that was sent by a worker that had lost its
    partition. What was claimed before may be on its way for as long as a claim is worth.
    """
    if SKEWED in told.began.faults:
        return
    applied: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for event in (record.event for record in told.of(OutboundSettled)):
        if isinstance(event, OutboundSettled) and event.kind is OutboundKind.MARKER and event.cause:
            applied[event.conversation_id].append((event.epoch, event.cause.decided_at))
    for each in told.taken:
        bubble = told.known.requested.get(each.bubble_id)
        if bubble is None or bubble.author is not Author.AI:
            continue
        for epoch, at_ms in applied[bubble.conversation_id]:
            late_ms = each.at_ms - at_ms
            if epoch > bubble.epoch and late_ms > CLAIM_VALID_MS:
                yield each.bubble_id, f"taken {late_ms} ms after the gate applied the marker"
