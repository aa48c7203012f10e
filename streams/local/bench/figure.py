"""What one variant of a benchmark did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ENDS: Final = ("accepted", "failed", "unknown")
"""Ends of a bubble of which somebody knows: sent, or a person is told."""


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
        ends: How many bubbles ended in each way, by what the gate says.
        lost: Bubbles that have not ended.
        longest_s: How long a bubble waited at most until WhatsApp took it.
        handed_s: How long a bubble that could not be sent waited at most until a person had it.
        late: How many of these a person has after their window has closed.
        outside: Messages that WhatsApp took after their window had closed.
        heard: Customers' messages meanwhile; WhatsApp counts them as well.
        astray: Those of them that did not end exactly once.
    """

    limit: int
    asked: int
    accepted: int
    duplicates: int
    refusals: Mapping[int, int]
    seconds: float
    course: tuple[int, ...] = ()
    ends: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    longest_s: float = 0.0
    handed_s: float = 0.0
    late: int = 0
    outside: int = 0
    heard: int = 0
    astray: int = 0

    @property
    def good(self) -> bool:
        """Whether each bubble was sent once, in its window, or is a person's; none is lost."""
        once = sum(self.ends.get(state, 0) for state in ENDS) == self.asked
        taken = self.ends.get("accepted", 0) <= self.accepted
        wrong = (self.lost, self.duplicates, self.refusals, self.astray, self.outside)
        return once and taken and not any(wrong)

    @property
    def handed(self) -> int:
        """Bubbles that a person has: too late for their window, or of unknown result."""
        return sum(self.ends.get(state, 0) for state in ENDS[1:])

    @property
    def used(self) -> float:
        """Part of the limit that both directions used, over the whole run."""
        both = self.accepted + self.heard
        return both / (self.limit * self.seconds) if self.seconds else 0.0
