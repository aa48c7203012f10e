"""The table of runs for people to read. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from streams.local.chaos.catalogue import FAULTS
from streams.local.chaos.facts import Stored
from streams.local.chaos.story import Story
from streams.local.chaos.verdict import (
    WINDOWS,
    Verdict,
    in_flight,
    unknown_bubbles,
    waits_ms,
    windows,
)
from streams.local.load.figures import percentile

HEAD = (
    "faults",
    "seed",
    "layout",
    "brokers",
    "messages",
    "in flight at a fault",
    "effects",
    "unknown",
    "p99 of the wait, s",
    "verdict",
)


def rendered(runs: Sequence[tuple[Story, Verdict]]) -> str:
    """Return the table of these runs, and what they come to together, as Markdown."""
    return "\n".join([*_lines(runs), ""])


def _lines(runs: Sequence[tuple[Story, Verdict]]) -> Iterator[str]:
    yield "<!-- Written by `whaticket chaos --table`. -->"
    yield ""
    yield "| " + " | ".join(HEAD) + " |"
    yield "|" + "---|" * len(HEAD)
    for told, verdict in runs:
        yield "| " + " | ".join(_row(told, verdict)) + " |"
    yield ""
    yield from _together(runs)
    yield ""
    for name, kind in FAULTS.items():
        yield f"* {name}: {kind.what}."


def _row(told: Story, verdict: Verdict) -> list[str]:
    flights = [in_flight(told, fault) for fault in told.struck]
    ends = sorted({min(flights), max(flights)}) if flights else []
    good = "holds" if verdict.good else f"**{len(verdict.violations)} violations**"
    return [
        "+".join(told.began.faults),
        str(told.began.seed),
        told.began.layout,
        str(told.began.brokers),
        str(len(told.posted)),
        " to ".join(map(str, ends)),
        str(len(told.effects)),
        str(unknown_bubbles(told)),
        f"{percentile(waits_ms(told), 99) / 1000:.1f}",
        "fault not proved" if verdict.unreal and not verdict.violations else good,
    ]


def _together(runs: Sequence[tuple[Story, Verdict]]) -> Iterator[str]:
    found: Counter[str] = Counter()
    for told, _ in runs:
        found.update(windows(told))
    messages = sum(len(told.posted) for told, _ in runs)
    bad = sum(not verdict.good for _, verdict in runs)
    yield f"{len(runs)} runs, {messages} messages, {bad} runs that are not good."
    yield ""
    points = ", ".join(f"`{name}` {found[name]}" for name in WINDOWS)
    yield f"Crashes exactly at a point of the loop: {points}."
    yield ""
    yield from _stored([stored for told, _ in runs for stored in told.stored])


def _stored(every: Sequence[Stored]) -> Iterator[str]:
    """Yield what the changelogs came to, over all runs that looked at them."""
    for stage in sorted({stored.stage for stored in every}):
        its = [stored for stored in every if stored.stage == stage]
        records = sum(stored.records for stored in its)
        each = sum(stored.stored_bytes for stored in its) // max(1, records)
        largest = max(stored.largest_bytes for stored in its)
        yield (
            f"* changelog of `{stage}`: {records} records of {each} bytes each on average,"
            f" largest state {largest} bytes"
        )
