"""The 24 h customer service windows, by what the simulator itself saw customers write.

Source: Meta, "WhatsApp Cloud API: Customer service windows"; "Free entry point" for ads (72 h).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from streams.local.simulator.bodies import number_of, objects, values_of

HOUR_MS: Final = 3_600_000
WINDOW_MS: Final = 24 * HOUR_MS
AD_WINDOW_MS: Final = 72 * HOUR_MS
NAMES_MAX: Final = 400_000
"""Names of customers that are remembered; the one that was silent longest leaves."""

_NO_WORDS_OF_THEIRS: Final = frozenset({"system", "revoke", "edit"})
"""Types that are no message of the customer: they open nothing."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One message of a customer.

    Attributes:
        number: The business number.
        names: The customer's phone number and user id, as far as they are told.
        wamid: Id of the message.
        sent_ms: When it was sent, Unix milliseconds; 0 when that is not told.
        window_ms: How long it lets a business write; 0 opens nothing.
    """

    number: str
    names: tuple[str, ...]
    wamid: str
    sent_ms: int
    window_ms: int


class Windows:
    """Until when a business number may write to a customer without a template."""

    def __init__(self) -> None:
        self.until: OrderedDict[tuple[str, str], int] = OrderedDict()

    def hear(self, heard: Heard, *, now_ms: int) -> None:
        """Open the windows of a customer's names; none of them ever becomes shorter."""
        until_ms = (heard.sent_ms or now_ms) + heard.window_ms
        for name in heard.names:
            known_ms = self.until.pop((heard.number, name), 0)
            self.until[heard.number, name] = max(known_ms, until_ms if heard.window_ms else 0)
        while len(self.until) > NAMES_MAX:
            self.until.popitem(last=False)

    def open(self, number: str, name: str, at_ms: int) -> bool:
        """Say whether a number may write to a customer now."""
        return at_ms < self.until.get((number, name), 0)


def heard_in(body: object) -> Iterator[Heard]:
    """Yield the customers' messages of a webhook body."""
    for value in values_of(body):
        number = str(number_of(value))
        contacts = list(objects(value, "contacts"))
        for message in objects(value, "messages"):
            yield _heard(number, message, contacts)


def _heard(number: str, message: dict[str, Any], contacts: list[dict[str, Any]]) -> Heard:
    own = set(_texts(message, ("from", "from_user_id")))
    for contact in contacts:
        names = set(_texts(contact, ("wa_id", "user_id")))
        if own & names or (not own and len(contacts) == 1):
            own |= names
    sent = str(message.get("timestamp", ""))
    window_ms = AD_WINDOW_MS if "referral" in message else WINDOW_MS
    return Heard(
        number=number,
        names=tuple(sorted(own)),
        wamid=str(message.get("id", "")),
        sent_ms=int(sent) * 1000 if sent.isdecimal() else 0,
        window_ms=0 if message.get("type") in _NO_WORDS_OF_THEIRS else window_ms,
    )


def _texts(found: dict[str, Any], keys: Iterable[str]) -> Iterator[str]:
    for key in keys:
        if isinstance(found.get(key), str) and found[key]:
            yield found[key]
