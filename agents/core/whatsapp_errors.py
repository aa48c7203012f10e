"""WhatsApp's error codes: which class each one is of, and what the gate does about it.

Decided by ``error.code``, not by the HTTP status: 131056 and 130429 come as 400.

Source: WhatsApp Cloud API, "Error codes", and Graph API, "Handling errors".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Final


class ErrorClass(StrEnum):
    """Kinds of refusals that need the same action."""

    AUTH = "auth"  #: Token or permission: nothing of this channel can be sent.
    RATE = "rate"  #: The app or the business account sends too much.
    NUMBER_RATE = "number_rate"  #: The business number sends too much.
    PAIR = "pair"  #: Too much to this one customer.
    SPAM = "spam"  #: The quality of the number is too low for more.
    TRANSIENT = "transient"  #: WhatsApp is not well.
    WINDOW = "window"  #: The 24 h window is closed: templates only.
    UNDELIVERABLE = "undeliverable"  #: This customer cannot be reached.
    BAD_REQUEST = "bad_request"  #: Our fault, or a template's.
    ACCOUNT = "account"  #: The account is blocked, unpaid or not registered.
    IDENTITY = "identity"  #: The customer's identity changed: a person must ask.


class Action(StrEnum):
    """What the gate does with a refused bubble."""

    RETRY = "retry"  #: Try again later, a bounded number of times.
    HOLD = "hold"  #: Keep it, in order, and look again until it is too old.
    FAIL = "fail"  #: It will never be sent.


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What to do about a class: wait ``base_ms * factor ** (n - 1)`` after the n-th refusal.

    Attributes:
        action: What to do.
        base_ms: First wait.
        factor: How the wait grows.
        longest_ms: Longest wait.
        attempts: Most attempts in all; a bubble that is held has no such limit.
    """

    action: Action
    base_ms: int = 0
    factor: int = 2
    longest_ms: int = 0
    attempts: int = 1


_FAIL: Final = Policy(action=Action.FAIL)

POLICIES: Final[dict[ErrorClass, Policy]] = {
    # 30, 60, 120, 240, 300, 300 … s until the window closes: a new token ends it.
    ErrorClass.AUTH: Policy(action=Action.HOLD, base_ms=30_000, longest_ms=300_000),
    # 2, 4, 8, 16, 32, 60, 60 s
    ErrorClass.RATE: Policy(action=Action.RETRY, base_ms=2_000, longest_ms=60_000, attempts=8),
    # 1, 2, 4, 8, 16, 30, 30 s
    ErrorClass.NUMBER_RATE: Policy(
        action=Action.RETRY, base_ms=1_000, longest_ms=30_000, attempts=8
    ),
    # 1, 4, 16, 64, 256 s. Source: Cloud API, "Pair rate limits": 4^X s, X from 0.
    ErrorClass.PAIR: Policy(
        action=Action.RETRY, base_ms=1_000, factor=4, longest_ms=256_000, attempts=6
    ),
    # 60, 120, 240, 480 s
    ErrorClass.SPAM: Policy(action=Action.RETRY, base_ms=60_000, longest_ms=900_000, attempts=5),
    # 1, 2, 4, 8, 16, 30, 30, 30, 30 s: an outage of two and a half minutes is waited out.
    ErrorClass.TRANSIENT: Policy(
        action=Action.RETRY, base_ms=1_000, longest_ms=30_000, attempts=10
    ),
    ErrorClass.WINDOW: _FAIL,
    ErrorClass.UNDELIVERABLE: _FAIL,
    ErrorClass.BAD_REQUEST: _FAIL,
    ErrorClass.ACCOUNT: _FAIL,
    ErrorClass.IDENTITY: _FAIL,
}
"""The one table of class -> action."""

_CODES: Final[dict[ErrorClass, tuple[int, ...]]] = {
    ErrorClass.AUTH: (0, 190, 3, 10, *range(200, 300), 131005),
    ErrorClass.RATE: (4, 80007),
    ErrorClass.NUMBER_RATE: (130429,),
    ErrorClass.PAIR: (131056,),
    ErrorClass.SPAM: (131048, 131064),
    ErrorClass.TRANSIENT: (1, 2, 131000, 131016, 131057, 133004),
    ErrorClass.WINDOW: (131047,),
    # 130497 is about the customer's country: the account writes to all others (docs/adr/0024).
    ErrorClass.UNDELIVERABLE: (131026, 130472, 130497, 131037, 131049, 131050),
    ErrorClass.BAD_REQUEST: (
        *(33, 100, 131008, 131009, 131021, 131051, 131052, 131053, 131062),
        *(132000, 132001, 132005, 132007, 132012, 132015, 132016),
    ),
    ErrorClass.ACCOUNT: (368, 131031, 131042, 131045, 133010, 133016),
    ErrorClass.IDENTITY: (137000,),
}
CLASSES: Final = {code: name for name, codes in _CODES.items() for code in codes}
"""The one table of code -> class."""

_STATUSES: Final = {401: ErrorClass.AUTH, 403: ErrorClass.AUTH, 429: ErrorClass.NUMBER_RATE}
_SERVER_ERROR: Final = 500


def classify(code: int, status: int) -> ErrorClass:
    """Return the class of a refusal; an unknown code is judged by its HTTP status.

    Code 0 is both WhatsApp's "cannot authenticate" and our "the answer had no code": it is
    an authentication error only when the status says so too.
    """
    if code and code in CLASSES:
        return CLASSES[code]
    if status >= _SERVER_ERROR:
        return ErrorClass.TRANSIENT
    return _STATUSES.get(status, ErrorClass.BAD_REQUEST)


def wait_ms(policy: Policy, refusals: int, seed: str) -> int:
    """Return how long to wait after the n-th refusal, 100 to 150 % of the formula.

    The jitter follows from ``seed``, so deciding again gives the same time.
    """
    growth: int = policy.factor ** min(refusals - 1, 30)
    plain = min(policy.longest_ms, policy.base_ms * growth)
    fraction = int.from_bytes(blake2b(seed.encode(), digest_size=4).digest(), "big") / 2**32
    return plain + int(plain * fraction / 2)
