"""The quick counters say what the library's own would say."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from streams.tally import Spread, Tally

BOUNDS = (0.5, 1, 2)
AMOUNTS = (0.1, 0.5, 0.51, 1, 1.5, 2, 2.01, 1e9)


def said(counter: type[Counter], histogram: type[Histogram]) -> bytes:
    registry = CollectorRegistry()
    events = counter("events", "Events.", ["stream"], registry=registry)
    seconds = histogram("seconds", "Seconds.", ["stream"], buckets=BOUNDS, registry=registry)
    events.labels("inbox").inc()
    events.labels("inbox").inc(4)
    events.labels("outbound").inc(2)
    for amount in AMOUNTS:
        seconds.labels("inbox").observe(amount)
    return generate_latest(registry)


def test_what_is_counted_and_observed_reads_as_the_librarys_own() -> None:
    assert said(Tally, Spread) == said(Counter, Histogram)
    assert b'events_total{stream="inbox"} 5.0' in said(Tally, Spread)
