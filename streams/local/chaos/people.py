"""Where people have a part: they are heard, the AI is silent then, nobody waits unseen. Pure.

Everything here follows from the topics alone: what a stage says names the record that made it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from schemas.events import (
    Author,
    BubbleState,
    ControlRequested,
    ConversationChanged,
    HandoffRequested,
    HumanReplied,
    OutboundKind,
    OutboundRequested,
    OutboundSettled,
    OutboundUpdated,
    OutcomeKind,
    Phase,
    TurnKind,
)
from sinks.ports import Recorded
from streams.local.chaos.story import Story
from streams.local.load.history import Place, cause_of, place_of

HUMAN: Final = "human"
TURN_RUNS: Final = (Phase.GATHERING, Phase.THINKING)
"""Phases in which a turn of the AI may end."""
AI_HAS: Final = (Phase.IDLE, *TURN_RUNS)
"""Phases in which no person has a conversation."""
CALLS: Final = ("handed_over", "parked:flood")
"""Decisions that leave a conversation to people."""
PART_FAILED: Final = "part_failed"
"""The only reason to drop a bubble beside that the AI was silenced; no run uses the kill switch."""


def heard(told: Story) -> Iterator[tuple[str, str]]:
    """I1: what a person asked is on the log once the API took it, and decided; a reply is sent.

    It is sent once, however often it is asked for under one id.
    """
    there = set(_asked(told))
    for asked in told.asked:
        if asked.answered_ms and (asked.conversation_id, asked.request_id) not in there:
            yield asked.request_id, "the API took it, but it is not on the log"
    yield from _replies(told)


def _replies(told: Story) -> Iterator[tuple[str, str]]:
    steps = _steps(told)
    spoken = {cause_of(record) for record in _bubbles(told, Author.HUMAN)}
    replied: Counter[tuple[str, str]] = Counter()
    for record, whose, request_id in _requests(told):
        step = steps.get(place_of(record))
        if step is None:
            yield record.event.event_id, "on the log, and dispatch never decided it"
        elif (step.decision, step.reason) == ("human_replied", "console"):
            replied[whose, request_id] += 1
            if place_of(record) not in spoken:
                yield record.event.event_id, "a reply that dispatch did not ask to send"
    for (_, request_id), times in replied.items():
        if times > 1:
            yield request_id, f"a reply that was sent {times} times"


def _asked(told: Story) -> Iterator[tuple[str, str]]:
    return ((whose, request_id) for _, whose, request_id in _requests(told))


def _requests(told: Story) -> Iterator[tuple[Recorded, str, str]]:
    """Yield what people asked: the record, the conversation, and the id that they gave it."""
    for record in told.records:
        match record.event:
            case ControlRequested(conversation_id=whose, request_id=request_id):
                yield record, whose, request_id
            case HumanReplied(conversation_id=whose, reply_id=reply_id):
                yield record, whose, reply_id
            case _:
                pass


def silent(told: Story) -> Iterator[tuple[str, str]]:
    """I5: the AI speaks by the end of a turn only, so never while people have a conversation."""
    steps = _steps(told)
    for record in _bubbles(told, Author.AI):
        cause = cause_of(record)
        step = steps.get(cause) if cause else None
        if step is not None and step.phase_before not in TURN_RUNS:
            yield step.conversation_id, f"the AI was asked to speak in phase {step.phase_before}"


def applied(told: Story) -> Iterator[tuple[str, str]]:
    """I5: the gate is told of every takeover by a marker, and applies every marker once."""
    asked = {
        cause_of(record)
        for record in told.of(OutboundRequested)
        if isinstance(record.event, OutboundRequested) and record.event.kind is OutboundKind.MARKER
    }
    for place, step in _steps(told).items():
        if _silences(step) and place not in asked:
            yield step.conversation_id, f"{step.decision}, and the gate was never told"
    ends = Counter(told.known.applied)
    for marker_id in told.known.markers:
        if ends[marker_id] != 1:
            yield marker_id, f"a marker that was applied {ends[marker_id]} times"


def _silences(step: ConversationChanged) -> bool:
    """Say whether a step silences the AI; a reply does not where a person had silenced it."""
    free = step.phase_before not in (Phase.WITH_HUMAN, Phase.PAUSED)
    return step.decision in ("taken_over", "paused") or (step.decision == "human_replied" and free)


def dropped(told: Story) -> Iterator[tuple[str, str]]:
    """I3: nothing is left unsent on purpose but what the AI said before it was silenced.

    Or the rest of an answer of which a part failed.
    """
    halves = {
        event.turn_id
        for event in (record.event for record in told.of(OutboundUpdated))
        if isinstance(event, OutboundUpdated) and event.state is BubbleState.FAILED
    }
    silenced: dict[str, int] = defaultdict(int)
    for marker in told.known.markers.values():
        whose = marker.conversation_id
        silenced[whose] = max(silenced[whose], marker.epoch)
    for bubble_id, ends in told.known.settled.items():
        for end in ends:
            if end.state is not BubbleState.DROPPED:
                continue
            if end.reason == PART_FAILED and end.turn_id in halves:
                continue
            if end.author is not Author.AI:
                yield bubble_id, f"dropped, though the author is {end.author}"
            elif silenced[end.conversation_id] <= end.epoch:
                yield bubble_id, f"dropped ({end.reason}), though nobody silenced the AI"


def called(told: Story) -> Iterator[tuple[str, str]]:
    """I3, I4: whoever is left to people by the pipeline has a person called.

    So has who may be without an answer of the AI: nobody knows whether they have it.
    """
    unknown = {
        place_of(record)
        for record in told.of(OutboundSettled)
        if isinstance(record.event, OutboundSettled)
        and (record.event.author, record.event.state) == (Author.AI, BubbleState.UNKNOWN)
    }
    calls = {
        cause_of(record)
        for record in told.of(HandoffRequested)
        if isinstance(record.event, HandoffRequested)
        and (record.event.kind, record.event.to_agent) == (TurnKind.START, HUMAN)
    }
    for place, step in _steps(told).items():
        named = {step.decision, f"{step.decision}:{step.reason}"}
        if named & set(CALLS) and place not in calls:
            yield step.conversation_id, f"{step.decision} ({step.reason}), but nobody was called"
        if step.phase not in AI_HAS:
            continue
        if place in unknown:
            yield step.conversation_id, "a bubble of unknown result, and no person has it"
        if any(outcome.kind is OutcomeKind.HANDED for outcome in step.outcomes):
            yield step.conversation_id, "messages are handed to a person, and the AI has it"


def shown(told: Story) -> Iterator[tuple[str, str]]:
    """I6: the transcripts have every message, bubble and outcome, and the newest step of each.

    What they do not have was committed without being written, or is not read at all.
    """
    wanted = _on_the_log(told)
    rows = {each.conversation_id: each for each in told.shown}
    for conversation_id, ids in wanted.items():
        row = rows.get(conversation_id)
        if row is None:
            yield conversation_id, "not in the transcripts"
            continue
        for each in sorted(ids ^ set(row.messages)):
            yield each, "not in the transcripts" if each in ids else "shown, but not on the log"
        steps = told.known.steps.get(conversation_id, [])
        newest = max(steps, key=_number, default=None)
        if newest is not None and (_number(newest), newest.phase) != (row.seq, row.phase):
            yield conversation_id, f"shown in step {row.seq}, {row.phase}"
    ends = {wamid: kind for row in told.shown for wamid, kind in row.outcomes.items()}
    for wamid, outcomes in told.known.outcomes.items():
        if ends.get(wamid) != outcomes[-1].kind:
            yield wamid, f"shown as {ends.get(wamid)}, ended as {outcomes[-1].kind}"


def _on_the_log(told: Story) -> dict[str, set[str]]:
    """Return the ids of messages and bubbles by conversation."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for wamid, records in told.known.received.items():
        wanted[records[0].event.conversation_id].add(wamid)
    for bubble_id, bubble in told.known.requested.items():
        wanted[bubble.conversation_id].add(bubble_id)
    return wanted


def _number(step: ConversationChanged) -> int:
    return step.cause.seq if step.cause else 0


def _bubbles(told: Story, author: Author) -> Iterator[Recorded]:
    asked = {each.event_id for each in told.known.requested.values() if each.author is author}
    yield from (record for record in told.records if record.event.event_id in asked)


def _steps(told: Story) -> dict[Place, ConversationChanged]:
    """Return dispatch's steps by the record that each one decided."""
    found = {}
    for record in told.of(ConversationChanged):
        if isinstance(record.event, ConversationChanged) and (cause := cause_of(record)):
            found[cause] = record.event
    return found
