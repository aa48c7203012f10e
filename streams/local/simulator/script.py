"""What goes wrong, and when: it follows from the seed and from what was asked for.

Every kind has its opportunities, counted from 1: requests to send, statuses, customers'
messages, customers. A wish takes some of them: the next n, n among the next m, or each with a
probability. The same seed, wishes and order of opportunities give the same acts.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec


class Kind(StrEnum):
    """What may go wrong."""

    # A request to send.
    ERROR = "error"  #: Refused with an HTTP status, ``burst`` times in a row.
    EARLY_STATUS = "early_status"  #: Accepted; ``sent`` is told before the answer.
    CUT = "cut"  #: Accepted, then the connection is closed without an answer.
    GATEWAY = "gateway"  #: Accepted, then answered 504 by something in between.
    SLOW = "slow"  #: Accepted, and answered after ``seconds``.
    # The statuses of a message that was accepted: how they end …
    FAILED = "failed"  #: ``failed`` with ``code``, nothing else.
    FAILED_THEN_DELIVERED = "failed_then_delivered"  #: As with several devices.
    UNDELIVERED = "undelivered"  #: ``sent`` for ever: blocked, or the phone is off.
    UNREAD = "unread"  #: Read receipts are off.
    ONLY_READ = "only_read"  #: The chat was open: no ``delivered``.
    SILENT = "silent"  #: None at all.
    # … and how they come.
    STATUS_REORDER = "status_reorder"  #: The last one first.
    STATUS_TWICE = "status_twice"  #: Each in two POSTs.
    STATUS_LATE = "status_late"  #: All of them ``seconds`` later.
    # Customers and their messages.
    BSUID = "bsuid"  #: A customer without a phone number: user id only.
    ODD = "odd"  #: A shape that surprises, each in turn; it says the same.
    REORDER = "reorder"  #: Messages of other customers overtake it, for ``seconds`` at most.
    BATCH = "batch"  #: Gathered for ``seconds``, with statuses, into one POST.
    REDELIVER = "redeliver"  #: Posted again at once, ``copies`` times.
    LATE = "late"  #: Posted again, the last time almost seven days later.


SECONDS: Final = {
    Kind.SLOW: 2.0,
    Kind.STATUS_LATE: 5.0,
    Kind.REORDER: 0.5,
    Kind.BATCH: 0.2,
}
"""Usual ``seconds`` of the kinds that have them."""

CHANGES: Final = frozenset(
    {"times", "among", "probability", "seconds", "status", "code", "burst", "copies"}
)


class Wish(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """How often something goes wrong.

    Attributes:
        kind: What goes wrong.
        times: How many opportunities are taken.
        among: Out of how many, by chance; the next ones if not given.
        probability: Instead of both: how likely each one is taken.
        seconds: How long, of the kinds that take time.
        status: HTTP status of ``error``.
        code: Meta's error code of ``error`` and ``failed``.
        burst: How many opportunities in a row ``error`` takes each time.
        copies: How many more deliveries, of ``redeliver``.
    """

    kind: Kind
    times: int | None = None
    among: int | None = None
    probability: float | None = None
    seconds: float | None = None
    status: int = 503
    code: int | None = None
    burst: int = 1
    copies: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: Says what is wrong; msgspec tells it as an error of the body.
        """
        if (self.times is None) == (self.probability is None):
            raise ValueError("a wish has either times or a probability")
        if self.times is not None and not 1 <= self.times <= (self.among or self.times):
            raise ValueError("times is at least 1, and at most among")
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise ValueError("a probability is from 0 to 1")
        if min(self.burst, self.copies) < 1 or (self.seconds or 0) < 0:
            raise ValueError("burst and copies are at least 1, seconds at least 0")

    @property
    def lasts_s(self) -> float:
        """How long it takes, seconds."""
        return SECONDS.get(self.kind, 0.0) if self.seconds is None else self.seconds


@dataclass(slots=True)
class _Open:
    """A wish and how far it has come."""

    wish: Wish
    chance: int
    picks: frozenset[int]
    seen: int = 0
    burst: int = 0
    taken: int = field(default=0)


class Script:
    """Wishes in the order in which they were made.

    Args:
        seed: What is taken follows from it.
        wishes: What shall go wrong.
    """

    def __init__(self, seed: int, wishes: Iterable[Wish] = ()) -> None:
        self.seed = seed
        self.made = 0
        self.open: dict[Kind, list[_Open]] = {}
        for wish in wishes:
            self.add(wish)

    def add(self, wish: Wish) -> None:
        """Let one more thing go wrong, from now on."""
        self.made += 1
        named = f"{self.seed}:{self.made}:{wish.kind}".encode()
        chance = int.from_bytes(hashlib.blake2b(named, digest_size=8).digest())
        picks: frozenset[int] = frozenset()
        if wish.times is not None:
            among = range(1, (wish.among or wish.times) + 1)
            chosen = random.Random(chance).sample(among, wish.times)  # noqa: S311 - a plan, not a secret
            picks = frozenset(chosen)
        self.open.setdefault(wish.kind, []).append(_Open(wish, chance, picks))

    def clear(self) -> None:
        """Let nothing more go wrong."""
        self.open.clear()

    def act(self, kind: Kind) -> Wish | None:
        """Count one opportunity; return the wish that takes it."""
        found = None
        for each in self.open.get(kind, ()):
            each.seen += 1
            if found is None and _takes(each):
                each.taken += 1
                found = each.wish
        return found

    def first(self, *kinds: Kind) -> Wish | None:
        """Return the first wish of several kinds that exclude one another.

        Later kinds do not see an opportunity that an earlier one took.
        """
        return next((wish for kind in kinds if (wish := self.act(kind)) is not None), None)

    def state(self) -> list[dict[str, Any]]:
        """Return the wishes, with the opportunities that they saw and took."""
        return [
            {**msgspec.to_builtins(each.wish), "seen": each.seen, "taken": each.taken}
            for every in self.open.values()
            for each in every
        ]


def _takes(each: _Open) -> bool:
    if each.burst > 0:
        each.burst -= 1
        return True
    if each.wish.probability is None:
        takes = each.seen in each.picks
    else:
        named = f"{each.chance}:{each.seen}".encode()
        share = int.from_bytes(hashlib.blake2b(named, digest_size=8).digest()) / 2**64
        takes = share < each.wish.probability
    if takes:
        each.burst = each.wish.burst - 1
    return takes


def wishes(text: str) -> list[Wish]:
    """Read wishes from one word, as the command line gives them.

    ``cut=3`` is the next three, ``cut=3/200`` three among the next 200, ``slow=0.05`` each with
    that probability; more follows after colons: ``error=2/100:status=500:burst=10``.

    Raises:
        ValueError: Says which wish cannot be read, and what is expected.
    """
    return [_wish(each) for each in text.split(",") if each.strip()]


def _wish(text: str) -> Wish:
    first, *more = text.strip().split(":")
    kind, equals, amount = first.partition("=")
    given: dict[str, Any] = {"kind": kind}
    times, slash, among = amount.partition("/")
    if slash:
        given |= {"times": times, "among": among}
    else:
        given["probability" if "." in amount else "times"] = amount
    for each in more:
        name, _, value = each.partition("=")
        if name not in CHANGES:
            raise ValueError(f"{text.strip()}: {name} is none of {', '.join(sorted(CHANGES))}")
        given[name] = value
    try:
        if equals:
            return msgspec.convert(given, Wish, strict=False)
    except msgspec.ValidationError as exc:
        raise ValueError(f"{text.strip()}: {exc}") from None
    raise ValueError(f"{text.strip()}: expected kind=times, kind=times/among or kind=0.05")
