"""The watchdog's decision: has a worker that should make progress made none for too long?

Rule 1: progress excuses everything, and so does a cause outside: a dependency that is known to be
down, or a call that is still within its limit. Rule 2: one excuse starts the time anew.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What a worker shows at one moment.

    Attributes:
        progress: Grows with each event that is finished and each table record that is recovered.
        partitions: Input partitions assigned.
        serving: Whether inputs are delivered; else tables are being recovered.
        behind: Records behind the ends of the logs.
        waiting: What is known to be down, or None.
        calling: Whether a running event is within its time limit.
    """

    progress: int
    partitions: int
    serving: bool
    behind: int
    waiting: str | None
    calling: bool

    @property
    def excused(self) -> bool:
        """Tell whether no progress is expected now."""
        idle = self.serving and not self.behind
        return not self.partitions or idle or self.waiting is not None or self.calling


@dataclass(frozen=True, slots=True)
class Watch:
    """What the watchdog remembers.

    Attributes:
        since_s: Since when nothing moved and nothing excused it, in seconds of any steady clock.
        progress: The progress then.
    """

    since_s: float
    progress: int = 0

    def look(self, signs: Signs, now_s: float) -> Watch:
        """Return what is remembered after another look."""
        if signs.excused or signs.progress != self.progress:
            return Watch(now_s, signs.progress)
        return self

    def why_stuck(self, signs: Signs, now_s: float, patience_s: float) -> str | None:
        """Say why the worker must end, or None."""
        quiet_s = now_s - self.since_s
        if quiet_s < patience_s:
            return None
        what = f"{signs.behind} records behind" if signs.serving else "tables were being recovered"
        return (
            f"nothing was finished for {quiet_s:.0f} s on {signs.partitions} partitions"
            f" ({what}), though nothing that it needs is known to be down"
            " and no call is within its time limit"
        )
