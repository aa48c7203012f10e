"""The highest rate that is sustained: doubled until it is too much, halved in, then confirmed."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from schemas.changing import replace

FINEST: Final = 1.1
"""The search ends when a rate that is too high is less than a tenth above one that is not."""
ATTEMPTS: Final = 6
"""Rates, each a tenth lower, that are tried for the whole time."""

Trial = Callable[[float, float], Awaitable[bool]]
"""Sends at a rate (a second) for so many seconds; tells whether it was sustained."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is known so far of the highest rate that a short trial sustains. Pure.

    Attributes:
        first: Where the search begins, a second.
        held: Highest rate that was sustained; 0 is none.
        broke: Lowest rate that was not.
    """

    first: float
    held: float = 0.0
    broke: float = math.inf

    @property
    def following(self) -> float | None:
        """The rate to try; None when it is known well enough."""
        if self.broke == math.inf:
            return 2 * self.held or self.first
        if not self.held:
            return _lower(self.broke, 2) or None
        between = float(round(math.sqrt(self.held * self.broke)))
        near = self.broke <= FINEST * self.held or between in (self.held, self.broke)
        return None if near else between

    def after(self, rate: float, *, sustained: bool) -> Search:
        """Return what is known after a trial."""
        return replace(self, held=rate) if sustained else replace(self, broke=rate)


async def highest(first: float, trial: Trial, *, short_s: float, seconds: float) -> float:
    """Return the highest rate that was sustained for all the time; 0 when none was.

    Args:
        first: Where the search begins, a second.
        trial: Tries one rate.
        short_s: How long each rate of the search is tried.
        seconds: How long the rate that was found must be sustained; else one a tenth lower.
    """
    search = Search(first)
    while (rate := search.following) is not None:
        search = search.after(rate, sustained=await trial(rate, short_s))
    found = search.held
    for _ in range(ATTEMPTS):
        if not found or await trial(found, seconds):
            return found
        found = _lower(found, FINEST)
    return 0.0


def _lower(rate: float, by: float) -> float:
    return float(math.floor(rate / by))
