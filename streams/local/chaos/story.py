"""The facts of a run, indexed for the rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Final

import msgspec

from schemas.codec import RECORD_OF_TOPIC
from schemas.errors import Misconfigured
from schemas.events import Event, Position
from sinks.ports import Recorded
from streams.local.chaos.facts import (
    Again,
    Asked,
    Began,
    Committed,
    Counted,
    Effect,
    Ended,
    Fact,
    Leaked,
    Letter,
    Logged,
    Posted,
    Searched,
    Stored,
    Struck,
    Taken,
)
from streams.local.chaos.shown import Marked, Shown
from streams.local.load.history import Accepted, History, Sent, history, place_of


@dataclass(slots=True)
class Story:
    """Everything that is known of one run.

    Attributes:
        began: What was asked.
        ended: How it ended.
        searched: Where leaks were looked for.
        posted: Messages that were posted, duplicates too.
        asked: What people asked.
        letters: Dead letters.
        taken: What the simulator accepted.
        effects: What the tools did outside.
        struck: Faults.
        committed: Committed offsets at some moments.
        leaked: Leaks.
        counted: Metrics.
        stored: What each stage wrote to its changelog.
        again: What came of deciding everything again.
        shown: What consoles show of each conversation.
        marked: Messages that were marked as read; nothing in older histories.
        records: Records of the run's conversations, by place; each event once, at its first place.
        known: What the load's rules want.
    """

    began: Began
    ended: Ended
    searched: Searched
    posted: list[Posted]
    asked: list[Asked]
    letters: list[Letter]
    taken: list[Taken]
    effects: list[Effect]
    struck: list[Struck]
    committed: list[Committed]
    leaked: list[Leaked]
    counted: list[Counted]
    stored: list[Stored]
    again: list[Again]
    shown: list[Shown]
    marked: list[Marked]
    records: list[Recorded] = field(default_factory=list)
    known: History = field(default_factory=lambda: History([], []))

    def of(self, kind: type[Event]) -> list[Recorded]:
        """Return the records of one kind, in the order of their partitions."""
        return [record for record in self.records if isinstance(record.event, kind)]


LISTS: Final[dict[str, type[Fact]]] = {
    "posted": Posted,
    "asked": Asked,
    "letters": Letter,
    "taken": Taken,
    "effects": Effect,
    "struck": Struck,
    "committed": Committed,
    "leaked": Leaked,
    "counted": Counted,
    "stored": Stored,
    "again": Again,
    "shown": Shown,
    "marked": Marked,
}


def story(facts: Iterable[Fact]) -> Story:
    """Index the facts of a run.

    Raises:
        Misconfigured: The history lacks its beginning, its end or its search for leaks.
    """
    every = list(facts)
    ones = {kind: next((f for f in every if isinstance(f, kind)), None) for kind in _ONES}
    began, ended, searched = (ones[kind] for kind in _ONES)
    if not (
        isinstance(began, Began) and isinstance(ended, Ended) and isinstance(searched, Searched)
    ):
        raise Misconfigured("the history is cut off: it has no beginning, search or end")
    lists = {name: [f for f in every if isinstance(f, kind)] for name, kind in LISTS.items()}
    told = Story(began=began, ended=ended, searched=searched, **lists)  # type: ignore[arg-type] # by LISTS
    recorded = [_recorded(fact) for fact in every if isinstance(fact, Logged)]
    told.known = history(
        [_sent(p) for p in told.posted if p.answered_ms],
        recorded,
        [Accepted(t.number, t.conversation_id, t.bubble_id, t.wamid) for t in told.taken],
    )
    ours = {r[0].event.conversation_id for r in told.known.received.values()}
    told.records = _once(r for r in recorded if r.event.conversation_id in ours)
    return told


_ONES: Final = (Began, Ended, Searched)


def _sent(posted: Posted) -> Sent:
    return Sent(posted.customer, posted.sequence, posted.wamid, frozenset(posted.expects))


def _recorded(fact: Logged) -> Recorded:
    place = Position(topic=fact.topic, partition=fact.partition, offset=fact.offset)
    try:
        return Recorded(
            event=msgspec.convert(fact.event, RECORD_OF_TOPIC[fact.topic]), position=place
        )
    except (msgspec.ValidationError, KeyError) as exc:
        raise Misconfigured(f"the history holds no record of {fact.topic}") from exc


def _once(records: Iterable[Recorded]) -> list[Recorded]:
    """Leave out what was published again, as after a crash: its id tells that it is the same."""
    ordered = sorted(records, key=_by_id)
    firsts = [min(same, key=place_of) for _, same in groupby(ordered, key=_by_id)]
    return sorted(firsts, key=place_of)


_by_id = attrgetter("event.event_id")
