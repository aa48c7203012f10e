"""One business number at one worker: its share, its newest second, who waits, why it is stopped.

Nothing here knows a clock: every time is an argument, in seconds of a clock that never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agents.core.rate_queue import Queue, Rank, Waiting
from agents.core.rate_window import Window

LOST_S: Final = 5.0
"""A bubble that was let go and did not come back so long is no longer expected."""
LEAD_PART: Final = 0.2
LONGEST_LEAD_S: Final = 0.5
HEADROOM_PERCENT: Final = 105
"""What a worker asks for, of what it has to do: more would lie idle while another's bubbles wait.
One that gets more to do lets it wait until its next renewal, and asks for that too."""
HALVED_S: Final = 10.0
"""How long a number that was refused for its rate takes to come back to its whole share."""


@dataclass(frozen=True, slots=True)
class Let:
    """A bubble whose timer was hastened, and that will ask soon.

    Attributes:
        rank: Its rank.
        at: When it was let go.
    """

    rank: Rank
    at: float


class NumberRate:
    """What a worker knows of one number.

    Attributes:
        share: What its lease lets it carry in any second.
        valid_until: When the lease ends.
        window: What it carried.
        queue: Who waits.
        let: Bubbles that were let go and have not asked yet.
        lead: How long a bubble takes from being let go to asking.
        used_at: When it was last used.
    """

    def __init__(self) -> None:
        self.share = 0
        self.valid_until = 0.0
        self.window = Window()
        self.queue = Queue()
        self.let: dict[str, Let] = {}
        self.lead = 0.0
        self.used_at = 0.0
        self._halved_at: float | None = None

    def leased(self, now: float) -> bool:
        """Tell whether its lease lives."""
        return now < self.valid_until

    def most(self, now: float) -> int:
        """Return what it may carry in any second: half its share after a refusal, then more."""
        if not self.leased(now):
            return 0
        if self._halved_at is None:
            return self.share
        gone = (now - self._halved_at) / HALVED_S
        if gone >= 1.0:
            self._halved_at = None
            return self.share
        return max(1, int(self.share * (0.5 + gone / 2)))

    def halve(self, now: float) -> None:
        """Carry less for a while: WhatsApp says that it was too much."""
        self._halved_at = now

    def admits(self, bubble_id: str, rank: Rank, now: float) -> bool:
        """Tell whether a bubble may go now; nobody overtakes who is at least as urgent."""
        self.used_at = now
        came = self.let.pop(bubble_id, None)
        free = self.most(now) - self.window.carried(now)
        if came is not None:
            self.lead += (min(now - came.at, LONGEST_LEAD_S) - self.lead) * LEAD_PART
            return free > 0
        first = self.queue.first
        if first is not None and first.bubble_id != bubble_id and first.rank <= rank:
            return False
        return free > sum(each.rank <= rank for each in self.let.values())

    def room(self, now: float) -> int:
        """Return how many bubbles would find room if they were let go now."""
        return self.most(now) - self.window.carried_then(now, now + self.lead) - len(self.let)

    def release(self, now: float) -> Waiting | None:
        """Return the bubble to let go next."""
        waiting = self.queue.take()
        if waiting is not None:
            self.let[waiting.bubble_id] = Let(waiting.rank, now)
        return waiting

    def forget_lost(self, now: float) -> None:
        """Expect those no longer that were let go long ago."""
        for bubble_id in [b for b, each in self.let.items() if now - each.at > LOST_S]:
            del self.let[bubble_id]

    def wanted(self, now: float) -> int:
        """Return how much it could use in a second, with some headroom."""
        self.forget_lost(now)
        busy = self.window.carried(now) + len(self.queue) + len(self.let)
        return -(-busy * HEADROOM_PERCENT // 100)
