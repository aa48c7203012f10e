"""What one variant of a benchmark did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one variant did.

    Attributes:
        variant: Its name.
        events: How many records it relayed.
        seconds: From its start, tables recovered, to its last output.
        cpu_us: CPU time of this process for each event, in microseconds.
    """

    variant: str
    events: int
    seconds: float
    cpu_us: float

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.events / self.seconds
