"""Meta's rules about what was sent before: rates, windows, templates, restrictions.

They are written from Meta's documents and count by themselves, so that they judge the
pipeline's gate independently. Counting goes on while they are off: whoever switches them on
finds the windows that are open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from streams.local.simulator.limits import MPS, UPGRADED_MPS, Pairs, Throughput
from streams.local.simulator.refusals import SERVER_ERROR, Refusal, plain
from streams.local.simulator.rules import Attempt, Rule, addressee, is_receipt
from streams.local.simulator.templates import Templates
from streams.local.simulator.windows import Heard, Windows

UPGRADE_MS: Final = 60_000
"""How long an upgrade takes; the number cannot be used meanwhile (at most a minute)."""


@dataclass(slots=True)
class Number:
    """What Meta decided about one business number.

    Attributes:
        mps: Messages a second; None is what all numbers have.
        restricted: Too many of its messages were blocked or reported.
        upgrading_until_ms: End of a running upgrade; 0 is none.
    """

    mps: int | None = None
    restricted: bool = False
    upgrading_until_ms: int = 0


@dataclass(slots=True)
class Meta:
    """The rules and their counters.

    Attributes:
        on: Whether they refuse anything.
        mps: Messages a second of a number.
        numbers: What differs for single numbers.
        throughput: Counts messages of numbers.
        pairs: Counts messages of pairs.
        windows: When customers wrote.
        templates: What may be sent outside of a window.
    """

    on: bool = False
    mps: int = MPS
    numbers: dict[str, Number] = field(default_factory=dict)
    throughput: Throughput = field(default_factory=Throughput)
    pairs: Pairs = field(default_factory=Pairs)
    windows: Windows = field(default_factory=Windows)
    templates: Templates = field(default_factory=Templates)

    @property
    def rules(self) -> Sequence[Rule]:
        """The rules that are on, in the order of their objections."""
        if not self.on:
            return ()
        return (
            self._usable,
            self._has_template,
            self._in_window,
            self._not_restricted,
            self._within_pair,
            self._within_throughput,
        )

    def number(self, phone_number_id: str) -> Number:
        """Return what Meta decided about a number, to be changed."""
        return self.numbers.setdefault(phone_number_id, Number())

    def upgrade(self, phone_number_id: str, *, now_ms: int) -> None:
        """Begin to upgrade a number's throughput."""
        number = self.number(phone_number_id)
        number.mps = UPGRADED_MPS
        number.upgrading_until_ms = now_ms + UPGRADE_MS

    def sent(self, attempt: Attempt) -> None:
        """Count a message that was accepted."""
        self.throughput.count(attempt.phone_number_id, attempt.at_ms)
        self.pairs.count(_pair(attempt), attempt.at_ms)

    def heard(self, messages: Iterable[Heard], *, now_ms: int) -> None:
        """Count customers' messages, and open their windows."""
        for message in messages:
            self.throughput.count(message.number, now_ms)
            self.windows.hear(message, now_ms=now_ms)

    def _known(self, attempt: Attempt) -> Number:
        return self.numbers.get(attempt.phone_number_id) or _USUAL

    def _usable(self, attempt: Attempt) -> Refusal | None:
        if attempt.at_ms >= self._known(attempt).upgrading_until_ms:
            return None
        return plain(131057, SERVER_ERROR)

    def _has_template(self, attempt: Attempt) -> Refusal | None:
        if is_receipt(attempt.body) or attempt.body.get("type") != "template":
            return None
        return self.templates.refusal(attempt.body["template"])

    def _in_window(self, attempt: Attempt) -> Refusal | None:
        if is_receipt(attempt.body) or attempt.body.get("type") == "template":
            return None
        if self.windows.open(*_pair(attempt), attempt.at_ms):
            return None
        return plain(131047)

    def _not_restricted(self, attempt: Attempt) -> Refusal | None:
        if is_receipt(attempt.body) or not self._known(attempt).restricted:
            return None
        return plain(131048)

    def _within_pair(self, attempt: Attempt) -> Refusal | None:
        if is_receipt(attempt.body):
            return None
        if self.pairs.free_ms(_pair(attempt), attempt.at_ms) == attempt.at_ms:
            return None
        return plain(131056)

    def _within_throughput(self, attempt: Attempt) -> Refusal | None:
        most = self._known(attempt).mps or self.mps
        if is_receipt(attempt.body):
            return None
        if self.throughput.used(attempt.phone_number_id, attempt.at_ms) < most:
            return None
        return plain(130429)


_USUAL: Final = Number()


def _pair(attempt: Attempt) -> tuple[str, str]:
    return attempt.phone_number_id, addressee(attempt.body)
