"""Judges what came out of a chain: what went in, once each, in order, and how soon. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from streams.local.load.figures import PERCENTILES, percentile

WARM_UP_S: Final = 2.0
"""What went in before is not in the percentiles: the first records wait for caches and code."""
BEHIND_S: Final = 1.0
P99_MS: Final = 1000.0
PACE: Final = 0.98
"""Part of the rate that must have gone in: less, and the sender was the one that was too slow."""

Arrival = tuple[int, int, str]
"""Number of a record, when it came out (monotonic ns), and its key, in the order of reading."""


class Passage(Struct, frozen=True, kw_only=True):
    """What became of records that went in at a rate.

    Attributes:
        rate: Records a second that were asked for.
        sent: Records that went in.
        sending_s: Seconds from the first one to the last one.
        took_ms: p50, p95 and p99 from in to out, without those of the first two seconds.
        behind_s: How long after the last one went in the last one came out.
        lost: Records that did not come out.
        doubled: Times that one came out again.
        reordered: Records that came out after a later one of their key.
    """

    rate: float
    sent: int
    sending_s: float
    took_ms: tuple[float, ...]
    behind_s: float
    lost: int
    doubled: int
    reordered: int

    @property
    def wrong(self) -> int:
        """How often the chain broke its word."""
        return self.lost + self.doubled + self.reordered

    @property
    def sustained(self) -> bool:
        """Whether the chain kept up: nothing wrong, and no backlog that grew."""
        came = self.sent >= PACE * self.rate * self.sending_s
        quick = self.took_ms[-1] <= P99_MS and self.behind_s <= BEHIND_S
        return came and quick and not self.wrong


def judge(rate: float, first: int, sent_ns: Sequence[int], arrivals: Iterable[Arrival]) -> Passage:
    """Judge one burst.

    Args:
        rate: Records a second that were asked for.
        first: Number of its first record; the others follow.
        sent_ns: When each went in.
        arrivals: All that came out since; a number of an earlier burst came out before.
    """
    arrived = list(arrivals)
    end = first + len(sent_ns)
    out_ns: dict[int, int] = {}
    for number, at_ns, _ in arrived:
        out_ns.setdefault(number, at_ns)
    ours = [number for number in out_ns if first <= number < end]
    warm_ns = sent_ns[0] + WARM_UP_S * 1e9 if sent_ns else 0
    took = [
        (out_ns[number] - sent_ns[number - first]) / 1e6
        for number in ours
        if sent_ns[number - first] > warm_ns
    ]
    return Passage(
        rate=rate,
        sent=len(sent_ns),
        sending_s=(sent_ns[-1] - sent_ns[0]) / 1e9 if sent_ns else 0.0,
        took_ms=tuple(round(percentile(took, p), 1) for p in PERCENTILES),
        behind_s=(max(out_ns.values()) - sent_ns[-1]) / 1e9 if ours else 0.0,
        lost=len(sent_ns) - len(ours),
        doubled=len(arrived) - len(ours),
        reordered=_reordered(arrived),
    )


def _reordered(arrived: Iterable[Arrival]) -> int:
    """Count what came after a later one of its key; what came again is counted elsewhere."""
    reached: dict[str, int] = {}
    seen: Counter[int] = Counter()
    found = 0
    for number, _, key in arrived:
        seen[number] += 1
        found += seen[number] == 1 and number < reached.get(key, 0)
        reached[key] = max(number, reached.get(key, 0))
    return found
