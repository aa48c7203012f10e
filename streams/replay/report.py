"""What came of a replay, in lines for a person. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from schemas.topics import STATEFUL_STAGES
from streams.replay.whole import Replayed

SHOWN: Final = 50
"""Differences that are shown, one for each stage in each conversation."""


def lines(result: Replayed) -> Iterator[str]:
    """Yield the lines of the report."""
    replayed: Counter[str] = Counter()
    for verdict in result.verdicts:
        replayed[verdict.actor[0]] += verdict.replayed
    conversations = len({verdict.actor[1] for verdict in result.verdicts})
    total = replayed.total()
    per_second = total / result.deciding_s if result.deciding_s else 0.0
    by_stage = ", ".join(f"{stage} {replayed[stage]:,}" for stage in STATEFUL_STAGES)
    yield (
        f"{_many(total, 'step')} of {_many(conversations, 'conversation')} decided again in"
        f" {result.deciding_s:.1f} s ({per_second:,.0f} a second): {by_stage}"
    )
    yield f"{_many(result.records, 'record')} read in {result.reading_s:.1f} s"
    if result.unreadable:
        yield f"{_many(result.unreadable, 'record')} left out: they cannot be read"
    skipped = [verdict for verdict in result.verdicts if verdict.skipped]
    if skipped:
        steps = sum(verdict.skipped for verdict in skipped)
        yield (f"{_many(steps, 'step')} left out: what led to them is not on the log any more")
    if result.undecided:
        yield f"{_many(result.undecided, 'input')} without a step: waiting, or dead letters"
    older = sum(verdict.older for verdict in result.verdicts)
    if older:
        yield f"{_many(older, 'record')} equal, but written with an older schema"
    yield from _differences(result)


def _differences(result: Replayed) -> Iterator[str]:
    different = [verdict for verdict in result.verdicts if verdict.difference]
    yield _many(len(different), "difference")
    for verdict in different[:SHOWN]:
        stage, conversation = verdict.actor
        if verdict.difference is not None:
            yield f"  {conversation} {stage} {verdict.difference.line}"
    if len(different) > SHOWN:
        yield f"  and {len(different) - SHOWN:,} more"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
