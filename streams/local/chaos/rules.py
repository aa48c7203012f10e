"""The promises I1 to I8 as rules over a history: each violation by name. Pure.

The rules of a load (``streams.local.load.checker``) hold here too, but one: a bubble whose
result is unknown may end with a person while things break. It is counted, and never sent twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from agents.core.dispatch_turns import CANCEL_LIMIT_MS
from schemas.events import (
    Author,
    BubbleState,
    Cause,
    OutboundKind,
    OutboundSettled,
    OutboundUpdated,
    OutcomeKind,
    ToolCallCompleted,
    ToolCallRequested,
)
from schemas.topics import RESPONSE_GENERATED
from streams.local.chaos.aftermath import marked, remembered
from streams.local.chaos.commits import passed_holes
from streams.local.chaos.leaks import SKIPPED
from streams.local.chaos.order import out_of_order, scattered, steps_of
from streams.local.chaos.people import applied, called, dropped, heard, shown, silent
from streams.local.chaos.proof import Evidence
from streams.local.chaos.sent import addressed, sent_late
from streams.local.chaos.story import Story
from streams.local.load.checker import RULES as LOAD_RULES
from streams.local.load.checker import Rule as LoadRule
from streams.local.load.checker import Violation

Rule = Callable[[Story], Iterator[tuple[str, str]]]
"""Yields (id of what broke it, in words without private text)."""

SERVED: Final = 0.5
"""Least share of the messages in conversations of the AI alone that it must have answered: a
pipeline that gives everything to people keeps every other rule."""

STATE_BUDGET_BYTES: Final = 32 << 10
"""What the state of a conversation may take; the hard limit is eight times that."""

SOURCE: Final = ("topic", "partition", "offset")
LETTER: Final = ("group", "error.type", "error.message", "attempts", "first_failed_at")
"""Headers of a dead letter beside those of its source, without ``dlq.``."""


def check(told: Story) -> list[Violation]:
    """Return every violation, in the order of the rules."""
    return [
        Violation(name, about, detail)
        for name, rule in RULES.items()
        for about, detail in rule(told)
    ]


def _taken(told: Story) -> Iterator[tuple[str, str]]:
    """I1: everything was taken in the end, and refusals were 503 or no answer at all."""
    for posted in told.posted:
        if not posted.answered_ms:
            yield posted.wamid, "never answered with 200"
        for status in posted.refusals.keys() - {"0", "503"}:
            yield posted.wamid, f"refused with {status}"
    for asked in told.asked:
        if not asked.answered_ms:
            yield asked.request_id, f"the API never took it: {asked.command or 'reply'}"


def _bubbles_end(told: Story) -> Iterator[tuple[str, str]]:
    """I4: every bubble settles exactly once; an accepted one is at the simulator."""
    there = {each.bubble_id for each in told.taken}
    for bubble_id in told.known.requested:
        ends = told.known.settled.get(bubble_id, [])
        if len(ends) != 1:
            yield bubble_id, f"settled {len(ends)} times"
        elif ends[0].state is BubbleState.ACCEPTED and bubble_id not in there:
            yield bubble_id, "settled as accepted, but missing at the simulator"
        elif ends[0].state is BubbleState.FAILED:
            yield bubble_id, f"not sent: {ends[0].error_code} {ends[0].reason}"


def _late_bubble(told: Story) -> Iterator[tuple[str, str]]:
    """I5: once the gate has applied a marker, no AI bubble of an older epoch is posted.

    Steps of the gate are numbered in each conversation, so no clock is asked.
    """
    markers = _markers(told)
    for event in _posts(told).values():
        seq = event.cause.seq if event.cause else 0
        for marker, cause in markers[event.conversation_id]:
            if marker.epoch > event.epoch and seq > cause.seq:
                yield event.bubble_id, f"posted in step {seq} of the gate, marker in {cause.seq}"


def _markers(told: Story) -> dict[str, list[tuple[OutboundSettled, Cause]]]:
    """Return the markers that the gate has applied, by conversation."""
    found: dict[str, list[tuple[OutboundSettled, Cause]]] = defaultdict(list)
    for event in (record.event for record in told.of(OutboundSettled)):
        if isinstance(event, OutboundSettled) and event.kind is OutboundKind.MARKER and event.cause:
            found[event.conversation_id].append((event, event.cause))
    return found


def _posts(told: Story) -> dict[str, OutboundUpdated]:
    """Return, of each AI bubble that was posted, the first step that says so.

    A later step may only tell what became of it.
    """
    found: dict[str, OutboundUpdated] = {}
    for event in (record.event for record in told.of(OutboundUpdated)):
        if not isinstance(event, OutboundUpdated) or not (event.posted_at and event.cause):
            continue
        known = found.get(event.bubble_id)
        earlier = known is None or known.cause is None or event.cause.seq < known.cause.seq
        if event.author is Author.AI and earlier:
            found[event.bubble_id] = event
    return found


def _late_tool(told: Story) -> Iterator[tuple[str, str]]:
    """I5: once the gate has applied a marker, no tool of an older epoch changes anything."""
    if "F14" in told.began.faults:
        return  # two clocks that differ on purpose cannot be compared
    markers, calls = _markers(told), _calls(told)
    for effect in told.effects:
        call = calls.get(effect.call_id)
        for marker, cause in markers[effect.conversation_id] if call else ():
            late_ms = effect.at_ms - cause.decided_at
            if call and marker.epoch > call.epoch and late_ms > 0:
                yield effect.call_id, f"{late_ms} ms after the gate applied the marker"


def _calls(told: Story) -> dict[str, ToolCallRequested]:
    """Return the tool calls by id."""
    events = (record.event for record in told.of(ToolCallRequested))
    return {event.call_id: event for event in events if isinstance(event, ToolCallRequested)}


def _effects_once(told: Story) -> Iterator[tuple[str, str]]:
    """I4: one call changes something once, and no message makes two calls do it."""
    for call_id, times in Counter(effect.call_id for effect in told.effects).items():
        if times > 1:
            yield call_id, f"{times} effects"
    calls = _calls(told)
    covered: Counter[str] = Counter()
    for effect in told.effects:
        call = calls.get(effect.call_id)
        turn = told.known.turns.get(call.turn_id) if call else None
        if call is None:
            yield effect.call_id, "an effect that no call asked for"
        covered.update(turn.wamids if turn else ())
    for wamid, times in covered.items():
        if times > 1:
            yield wamid, f"{times} effects for one message"


def _effects_told(told: Story) -> Iterator[tuple[str, str]]:
    """I4: a tool that says that it changed something did, and each call is completed once."""
    there = {effect.call_id for effect in told.effects}
    completed: Counter[str] = Counter()
    for event in (record.event for record in told.of(ToolCallCompleted)):
        if isinstance(event, ToolCallCompleted):
            completed[event.call_id] += 1
            if event.ok and event.side_effect and event.call_id not in there:
                yield event.call_id, "completed, but nothing happened"
    for call_id, times in completed.items():
        if times > 1:
            yield call_id, f"completed {times} times"


def _served(told: Story) -> Iterator[tuple[str, str]]:
    """I3: most messages that only the AI had to do with were answered by it.

    Not where dispatch was without the AI's answers (F2t) for so long that people had to be called.
    """
    if any(
        fault.evidence.get("topic") == RESPONSE_GENERATED.name
        and fault.ended_ms - fault.began_ms > CANCEL_LIMIT_MS
        for fault in told.struck
    ):
        return
    wanted = {p.wamid for p in told.posted if p.alone and OutcomeKind.ANSWERED in p.expects}
    answered = sum(
        any(o.kind is OutcomeKind.ANSWERED for o in told.known.outcomes.get(wamid, ()))
        for wamid in wanted
    )
    if wanted and answered < SERVED * len(wanted):
        yield told.began.run, f"the AI answered {answered} of {len(wanted)} messages"


def _commits(told: Story) -> Iterator[tuple[str, str]]:
    """I6: what is committed is finished, as far as the topics said at that moment."""
    yield from passed_holes(told)
    if not any(offset for moment in told.committed for _, _, offset in moment.offsets):
        yield told.began.run, "nobody saw what is committed"


def _audited(told: Story) -> Iterator[tuple[str, str]]:
    """I6: the workers' own auditor counted no skipped offset, and was asked."""
    if not any(metric.process.startswith("worker") for metric in told.counted):
        yield told.began.run, "no worker told what its auditor counted"
    for metric in told.counted:
        if metric.name == SKIPPED and metric.count > 0:
            yield metric.process, f"{metric.count:g} offsets skipped"


def _private(told: Story) -> Iterator[tuple[str, str]]:
    """I7: nothing private in logs, keys, headers and metrics, and it was looked for."""
    for leak in told.leaked:
        yield leak.where, f"{leak.what}, {leak.times} times"
    seen = told.searched
    if not (seen.logs_bytes and seen.records and seen.pages and seen.planted):
        yield told.began.run, "logs, records or metrics were not searched"


def _parked(told: Story) -> Iterator[tuple[str, str]]:
    """I3: nothing is given up but what was made unreadable, and that once by each reader.

    After a crash a letter may be written again: its source tells that it is the same.
    """
    poison = {where for fault in told.struck for where in _poison(fault.evidence)}
    calm = set(told.began.faults) == {"F11"}
    found: Counter[tuple[str, str]] = Counter()
    for letter in told.letters:
        source = ":".join(letter.headers.get(f"dlq.original.{name}", "?") for name in SOURCE)
        found[source, letter.headers.get("dlq.group", "?")] += 1
        if source not in poison:
            yield source, f"given up: {letter.headers.get('dlq.error.type', '?')}"
        if missing := [name for name in LETTER if f"dlq.{name}" not in letter.headers]:
            yield source, f"a dead letter without {', '.join(missing)}"
    for where in poison - {source for source, _ in found}:
        yield where, "a poison record without a dead letter"
    for (source, group), times in found.items():
        if calm and times > 1:
            yield source, f"buried {times} times by {group}"


def _poison(evidence: Evidence) -> Iterator[str]:
    yield from str(evidence.get("places", "")).split()


def _kept_small(told: Story) -> Iterator[tuple[str, str]]:
    """No conversation's state is over the budget, however much its customer wrote."""
    for stored in told.stored:
        if stored.largest_bytes > STATE_BUDGET_BYTES:
            yield stored.stage, f"a state of {stored.largest_bytes} bytes"


def _replayed(told: Story) -> Iterator[tuple[str, str]]:
    """I8: what was recorded gives the same decisions again, byte for byte, and all of it."""
    again = sum(each.steps for each in told.again)
    taken = sum(map(len, steps_of(told).values()))
    if again < max(taken, 1):
        yield told.began.run, f"{again} of {taken} steps were decided again"
    for difference in (line for each in told.again for line in each.different):
        yield told.began.run, difference


def _of_load(rule: LoadRule) -> Rule:
    """Return a rule of the load for a whole story."""
    return lambda told: rule(told.known)


RULES: Final[dict[str, Rule]] = {
    **{name: _of_load(rule) for name, rule in LOAD_RULES.items() if name != "settled_once"},
    "taken": _taken,
    "heard": heard,
    "silent": silent,
    "applied": applied,
    "dropped": dropped,
    "called": called,
    "shown": shown,
    "marked": marked,
    "remembered": remembered,
    "steps_in_order": out_of_order,
    "scattered": scattered,
    "bubbles_end": _bubbles_end,
    "late_bubble": _late_bubble,
    "sent_late": sent_late,
    "addressed": addressed,
    "late_tool": _late_tool,
    "effects_once": _effects_once,
    "effects_told": _effects_told,
    "served": _served,
    "commits": _commits,
    "audited": _audited,
    "private": _private,
    "parked": _parked,
    "kept_small": _kept_small,
    "replayed": _replayed,
}
"""Every rule, by the name that a verdict gives."""
