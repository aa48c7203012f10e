"""What a load says at its end. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from streams.local.load.checker import Violation
from streams.local.load.figures import PERCENTILES, overheads, percentile
from streams.local.load.run import Result

SHOWN: Final = 20


def report(result: Result, violations: Sequence[Violation]) -> Iterator[str]:
    """Yield lines for a person."""
    known = result.known
    kinds = Counter(str(o.kind) for outcomes in known.outcomes.values() for o in outcomes)
    yield (
        f"sent {result.sent} messages ({len(known.sent)} different) of"
        f" {len({m.customer for m in known.sent})} customers in {result.sending_s:.1f} s:"
        f" {result.sent / max(result.sending_s, 0.001):.0f}/s"
    )
    yield (
        f"finished in {result.whole_s:.1f} s (burst windows included):"
        f" {len(known.turns)} turns, {len(known.accepted)} bubbles accepted,"
        f" outcomes {', '.join(f'{kind} {count}' for kind, count in sorted(kinds.items()))}"
    )
    measured = overheads(result.records)
    for name, values in (
        ("webhook → model request", measured.arriving),
        ("model answer → WhatsApp request", measured.leaving),
        ("platform overhead", measured.whole),
    ):
        figures = "  ".join(f"p{p} {percentile(values, p)} ms" for p in PERCENTILES)
        yield f"{name} ({len(values)} turns): {figures}"
    yield from _verdict(violations)


def _verdict(violations: Sequence[Violation]) -> Iterator[str]:
    if not violations:
        yield "every rule holds"
        return
    yield f"{len(violations)} violations: " + ", ".join(
        f"{rule} {count}" for rule, count in Counter(v.rule for v in violations).items()
    )
    for violation in violations[:SHOWN]:
        yield f"  {violation.rule}: {violation.about}: {violation.detail}"
