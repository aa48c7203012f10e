"""Counters and histograms for what happens several times for each event.

prometheus_client takes a lock and makes several checks each time, which together costs a tenth
of an event. These are for one thread, the event loop's, and are never used without their labels.

Source: prometheus_client 0.26, ``metrics.py`` (``Counter.inc``, ``Histogram.observe``) and
``values.py`` (``MutexValue``).
"""

from __future__ import annotations

from bisect import bisect_left

from prometheus_client import Counter, Histogram


class Tally(Counter):
    """A counter of the event loop."""

    def inc(self, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:  # noqa: ARG002 - the library's signature
        """Count."""
        self._value._value += amount  # noqa: SLF001 - see above


class Spread(Histogram):
    """A histogram of the event loop."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:  # noqa: ARG002 - the library's signature
        """Count an amount in its bucket."""
        self._sum._value += amount  # noqa: SLF001 - see above
        self._buckets[bisect_left(self._upper_bounds, amount)]._value += 1  # noqa: SLF001 - see above
