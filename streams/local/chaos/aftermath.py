"""What stays with customers and later turns: marks of what was read, and memories. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from schemas.events import (
    Event,
    MemoryUpdateRequested,
    MessageReceived,
    OutboundRequested,
)
from streams.local.chaos.story import Story

SHOWS: Final = 5
"""A turn shows that somebody writes every 20 s for at most 90 s, and marks its message each time.

Source: ``agents/core/gate_typing.py``.
"""
REPEATED: Final = 20
"""More of them than crashes repeat: nothing is claimed for what may be shown twice."""


def marked(told: Story) -> Iterator[tuple[str, str]]:
    """Nothing is marked as read but what was received, by a turn that took it up; and not on end.

    The marks are best effort: that one is missing breaks nothing.
    """
    received = {e.wamid for e in _events(told, MessageReceived) if isinstance(e, MessageReceived)}
    asked: Counter[str] = Counter()
    for event in _events(told, OutboundRequested):
        if isinstance(event, OutboundRequested) and event.read_wamid is not None:
            asked[event.read_wamid] += 1
    for wamid in asked.keys() - received:
        yield wamid, "to be marked as read, and never received"
    for mark in told.marked:
        if mark.wamid not in asked:
            yield mark.wamid, "marked as read, and no turn took it up"
        elif mark.times > SHOWS * asked[mark.wamid] + REPEATED:
            yield mark.wamid, f"marked as read {mark.times} times for {asked[mark.wamid]} turns"


def remembered(told: Story) -> Iterator[tuple[str, str]]:
    """I6: what a turn answered is remembered, and nothing that nobody asked for.

    What is missing was committed by the sink without being written.
    """
    wanted: dict[str, set[str]] = defaultdict(set)
    for event in _events(told, MemoryUpdateRequested):
        wanted[event.conversation_id].add(event.event_id)
    for row in told.shown:
        if row.memories is None:
            continue  # a history from before they were looked at
        for each in sorted(wanted[row.conversation_id] ^ set(row.memories)):
            there = each in row.memories
            yield each, "remembered, but not on the log" if there else "not remembered"


def _events(told: Story, kind: type[Event]) -> Iterator[Event]:
    return (record.event for record in told.of(kind))
