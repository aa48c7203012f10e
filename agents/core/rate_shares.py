"""How the workers share what one business number may carry: pure arithmetic.

Law: the shares of all leases that live never sum up to more than the number may carry, whoever
joins, leaves, dies or is slow. A worker takes only what no other live lease has; what it should
give up, it gives up by its own next renewal, and not before WhatsApp has forgotten it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

USED_PERCENT: Final = 95
"""How much of WhatsApp's limit is used: clocks and networks are not exact."""
IDLE_PART: Final = 16
"""A worker without traffic keeps a sixteenth, so that its first messages go at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What one worker has of a number.

    Attributes:
        share: Messages in any second.
        wanted: Messages in a second that it could use.
    """

    share: int
    wanted: int


def usable(limit: int) -> int:
    """Return how many messages a second a number may carry, of what WhatsApp allows."""
    return max(1, limit * USED_PERCENT // 100)


def next_share(
    worker: str, wanted: int, others: Mapping[str, Lease], *, total: int, carried: int
) -> int:
    """Return the share that a worker takes at this renewal.

    Args:
        worker: Who renews.
        wanted: Messages in a second that it could use.
        others: The live leases of all others.
        total: What all of them may carry together.
        carried: What it carried in the newest second: WhatsApp still counts that, so it is not
            free for others yet.
    """
    free = total - sum(lease.share for lease in others.values())
    wants = {name: lease.wanted for name, lease in others.items()} | {worker: wanted}
    fair = fair_shares(wants, total)[worker]
    return max(0, min(max(fair, carried), free))


def fair_shares(wants: Mapping[str, int], total: int) -> dict[str, int]:
    """Return who should have how much: a little for everyone, then the least served first.

    What is left over goes to those who want something, in equal parts; with nobody, it is free.
    """
    order = sorted(wants, key=lambda name: (wants[name], name))
    base = min(max(1, total // IDLE_PART), total // max(1, len(order)))
    shares = dict.fromkeys(order, base)
    left = total - base * len(order)
    for place, name in enumerate(order):
        more = min(max(0, wants[name] - base), left // (len(order) - place))
        shares[name] += more
        left -= more
    busy = [name for name in order if wants[name] > 0]
    for place, name in enumerate(busy):
        more = left // (len(busy) - place)
        shares[name] += more
        left -= more
    return shares
