"""What a history comes to: broken rules, faults that did not happen, and figures. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from schemas.events import BubbleState, ConversationChanged, OutcomeKind
from streams.local.chaos.catalogue import FAULTS
from streams.local.chaos.facts import Struck
from streams.local.chaos.rules import check
from streams.local.chaos.sent import SKEWED
from streams.local.chaos.story import Story
from streams.local.load.checker import Violation
from streams.local.load.figures import percentile

SHOWN: Final = 20
WINDOWS: Final = ("before_state", "after_state", "after_publish", "after_ack")
"""Fail-points of the loop, in its order (``streams.processor.failpoint``)."""
BUSY: Final = 100
"""Messages in flight that are the middle of the load although the last one was sent just before:
a fault waits for one that strikes the same part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a history comes to.

    Attributes:
        violations: Broken promises.
        unreal: Planned faults that did not really happen.
        unfinished: Messages and bubbles that were still open at the end.
    """

    violations: list[Violation]
    unreal: list[str]
    unfinished: int

    @property
    def good(self) -> bool:
        """Whether everything that was promised held while everything planned happened."""
        return not (self.violations or self.unreal)


def judge(told: Story) -> Verdict:
    """Judge a run."""
    return Verdict(
        violations=check(told), unreal=list(unreal(told)), unfinished=told.ended.unfinished
    )


def unreal(told: Story) -> Iterator[str]:
    """Say which planned faults did not happen, or not in the middle of the load."""
    happened = Counter(fault.fault for fault in told.struck)
    for name in told.began.faults:
        if name in FAULTS and not happened[name]:
            yield f"{name} did not happen"
    for fault in told.struck:
        about = f"{fault.fault} of {', '.join(fault.whom)}"
        if not fault.sent or not (fault.unsent or in_flight(told, fault) >= BUSY):
            yield f"{about} was not in the middle of the load"
        if fault.fault in FAULTS and (why := FAULTS[fault.fault].proof(fault.evidence)):
            yield f"{about} is not proved: {why}"
        if fault.fault == SKEWED and not _dated(told, fault):
            yield f"{about} is not proved: nothing was decided by the wrong clock"


def _dated(told: Story, fault: Struck) -> bool:
    """Say whether a worker with a wrong clock decided anything: one that only starts does not."""
    skew_ms = int(fault.evidence.get("skew_ms", 0))
    begin, end = fault.began_ms + skew_ms, fault.ended_ms + skew_ms
    causes = (record.event.cause for record in told.records)
    return any(begin <= cause.decided_at <= end for cause in causes if cause)


def in_flight(told: Story, fault: Struck) -> int:
    """Return how many messages had been sent and had no outcome when a fault began."""
    ended = {
        outcome.wamid: event.cause.decided_at
        for event in (record.event for record in told.of(ConversationChanged))
        if isinstance(event, ConversationChanged) and event.cause
        for outcome in event.outcomes
    }
    began = {posted.wamid: posted.began_ms for posted in reversed(told.posted)}
    return sum(
        at_ms <= fault.began_ms < ended.get(wamid, fault.began_ms + 1)
        for wamid, at_ms in began.items()
    )


def windows(told: Story) -> Counter[str]:
    """Return how many crashes fell exactly at each point of the loop."""
    found: Counter[str] = Counter()
    for fault in told.struck:
        for name in WINDOWS:
            seen = fault.evidence.get(name, 0)
            found[name] += int(seen) if isinstance(seen, int | float) else 0
    return found


def unknown_bubbles(told: Story) -> int:
    """Return how many bubbles ended with a result that nobody knows: a person has them."""
    ends = [end for settled in told.known.settled.values() for end in settled]
    return sum(end.state is BubbleState.UNKNOWN for end in ends)


def waits_ms(told: Story) -> list[int]:
    """Return how long each message waited for its outcome, by the clocks of the pipeline."""
    received = {
        wamid: records[0].event.occurred_at for wamid, records in told.known.received.items()
    }
    return [
        event.cause.decided_at - received[outcome.wamid]
        for event in (record.event for record in told.of(ConversationChanged))
        if isinstance(event, ConversationChanged) and event.cause
        for outcome in event.outcomes
        if outcome.wamid in received and outcome.kind is not OutcomeKind.IGNORED
    ]


def lines(told: Story, verdict: Verdict) -> Iterator[str]:
    """Yield what a person wants to know of a run."""
    began = told.began
    yield (
        f"run {began.run}: seed {began.seed}, {'+'.join(began.faults) or 'no faults'},"
        f" {began.layout}, {began.brokers} broker(s)"
    )
    yield from _load(told)
    yield from _faults(told)
    yield from _kept(told)
    for why in verdict.unreal:
        yield f"THE FAULT DID NOT HAPPEN: {why}"
    if verdict.violations:
        counts = Counter(v.rule for v in verdict.violations)
        named = ", ".join(f"{rule} {count}" for rule, count in counts.items())
        yield f"{len(verdict.violations)} VIOLATIONS: {named}"
        for violation in verdict.violations[:SHOWN]:
            yield f"  {violation.rule}: {violation.about}: {violation.detail}"
    if not verdict.good:
        yield f"again: {began.command}"
    else:
        yield "every promise holds"


def _load(told: Story) -> Iterator[str]:
    refused: Counter[str] = Counter()
    for posted in told.posted:
        refused.update(posted.refusals)
    answers = ", ".join(f"{'none' if s == '0' else s}: {n}" for s, n in sorted(refused.items()))
    customers = len({posted.customer for posted in told.posted})
    yield (
        f"{len(told.posted)} messages ({len({p.wamid for p in told.posted})} different) of"
        f" {customers} customers; answers other than 200: {answers or 'none'}"
    )
    kinds = Counter(str(o.kind) for each in told.known.outcomes.values() for o in each)
    shown = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    waits = waits_ms(told)
    yield (
        f"outcomes: {shown}; {len(told.known.turns)} turns, {len(told.taken)} bubbles,"
        f" {len(told.effects)} effects of tools, {unknown_bubbles(told)} bubbles of unknown result;"
        f" open at the end: {told.ended.unfinished}"
    )
    yield f"waited for an outcome: p50 {percentile(waits, 50)} ms, p99 {percentile(waits, 99)} ms"


def _faults(told: Story) -> Iterator[str]:
    for fault in told.struck:
        seen = ", ".join(
            f"{name} {value:g}" if isinstance(value, int | float) else f"{name} {value}"
            for name, value in fault.evidence.items()
            if name != "places"
        )
        lasted_s = (fault.ended_ms - fault.began_ms) / 1000
        yield (
            f"{fault.fault} {', '.join(fault.whom)}: after {fault.sent} messages,"
            f" {in_flight(told, fault)} in flight, {lasted_s:.1f} s; {seen}"
        )


def _kept(told: Story) -> Iterator[str]:
    seen = told.searched
    yield (
        f"searched for {seen.planted} planted texts: {seen.logs_bytes} bytes of logs,"
        f" {seen.records} records' keys and headers, {seen.pages} pages of metrics;"
        f" {sum(len(moment.offsets) for moment in told.committed)} committed offsets judged;"
        f" {sum(again.steps for again in told.again)} steps decided again"
    )
    for stored in told.stored:
        each = stored.stored_bytes // max(1, stored.records)
        yield (
            f"changelog of {stored.stage}: {stored.records} records of {each} bytes each,"
            f" {stored.conversations} conversations, largest state {stored.largest_bytes} bytes"
        )
