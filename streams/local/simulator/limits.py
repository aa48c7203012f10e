"""Meta's rates, by counters of the simulator's own: what a number and what a pair may send.

Rule 1: no second holds more messages of a number than its throughput, those that customers
sent included; a customer's message is counted but never refused.

Rule 2: a message to a customer takes six seconds of the pair's future. Within six seconds of
a burst's first message up to 45 may be taken at once; after that nothing goes before all the
seconds that were taken have passed.

Source: Meta, "WhatsApp Cloud API: Throughput" (updated May 21, 2026) and "Pair rate limits":
one message every six seconds, up to 45 in six seconds, then "the equivalent time"; 20 messages
at once are followed by two minutes.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

MPS: Final = 80
UPGRADED_MPS: Final = 1000
COEXISTENCE_MPS: Final = 20
"""Messages a second of a number: by default, upgraded, and shared with the phone app."""

PAIR_MS: Final = 6_000
PAIR_BURST: Final = 45
SECOND_MS: Final = 1_000
PAIRS_MAX: Final = 200_000
"""Pairs that are remembered; the one that was silent longest leaves."""


class Throughput:
    """Messages of each business number in the second that just passed.

    Attributes:
        busiest: Most messages that any second of a number held.
    """

    def __init__(self) -> None:
        self.times: dict[str, deque[int]] = {}
        self.busiest: dict[str, int] = {}

    def used(self, number: str, at_ms: int) -> int:
        """Return how many messages the second before this moment holds."""
        times = self.times.get(number)
        if times is None:
            return 0
        while times and times[0] <= at_ms - SECOND_MS:
            times.popleft()
        return len(times)

    def count(self, number: str, at_ms: int) -> None:
        """Count one message, in or out."""
        used = self.used(number, at_ms) + 1
        self.times.setdefault(number, deque()).append(at_ms)
        self.busiest[number] = max(self.busiest.get(number, 0), used)


class Pairs:
    """What each business number may still send to each customer.

    Attributes:
        bursts: Start of the burst, messages in it, and when what it took has passed.
    """

    def __init__(self, every_ms: int = PAIR_MS, most: int = PAIR_BURST) -> None:
        self.every_ms = every_ms
        self.most = most
        self.bursts: OrderedDict[tuple[str, str], tuple[int, int, int]] = OrderedDict()

    def free_ms(self, pair: tuple[str, str], at_ms: int) -> int:
        """Return the earliest time at which a message may go; now when it may go now."""
        began_ms, sent, free_ms = self.bursts.get(pair, (0, 0, 0))
        bursting = at_ms < began_ms + self.every_ms and sent < self.most
        return at_ms if bursting else max(at_ms, free_ms)

    def count(self, pair: tuple[str, str], at_ms: int) -> None:
        """Count one message that goes."""
        began_ms, sent, free_ms = self.bursts.pop(pair, (0, 0, 0))
        if at_ms >= free_ms:
            began_ms, sent, free_ms = at_ms, 0, at_ms
        self.bursts[pair] = (began_ms, sent + 1, free_ms + self.every_ms)
        if len(self.bursts) > PAIRS_MAX:
            self.bursts.popitem(last=False)
