"""What one variant of a benchmark did."""

from __future__ import annotations

from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How one number's rate was used.

    Attributes:
        limit: Messages a second that WhatsApp allows.
        asked: Bubbles that were asked for.
        accepted: Messages that WhatsApp took.
        duplicates: Bubbles that it took more than once.
        refusals: Requests that it refused, by error code.
        seconds: From the first request to the last acceptance.
        course: Messages that it took in each stretch of five seconds.
    """

    limit: int
    asked: int
    accepted: int
    duplicates: int
    refusals: Mapping[int, int]
    seconds: float
    course: tuple[int, ...] = ()

    @property
    def used(self) -> float:
        """Part of the limit that was used, over the whole run."""
        return self.accepted / (self.limit * self.seconds)
