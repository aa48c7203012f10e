"""Numbers and apps that may not send for a while, and what starts them again. Pure.

A refusal that says that the next request would be refused as well stops its number (token,
account, spam) or its whole app (WhatsApp's limit of calls), so that others do not run into it too.
When the time is over one bubble tries; the stop ends when WhatsApp accepts it. When nothing is
learned of the stop, since it was not sent or refused for itself, the next one tries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from agents.core.whatsapp_errors import ErrorClass
from schemas.changing import replace

STOPS_S: Final[dict[ErrorClass, tuple[float, float]]] = {
    ErrorClass.AUTH: (30.0, 300.0),  # a new token ends it at once
    ErrorClass.ACCOUNT: (60.0, 900.0),
    ErrorClass.SPAM: (60.0, 900.0),
    ErrorClass.RATE: (2.0, 60.0),
}
"""First and longest stop, in seconds; each refusal in a row doubles it."""

TOLD_S: Final = 900.0
"""Seconds after the end of a stop for which it is told as one. It ends when something is sent, and
where nobody wants to send any more, nobody would learn that it is over."""


class State(IntEnum):
    """How much may be sent."""

    STOPPED = 0
    ONE = 1
    OPEN = 2


WHOLE_APP: Final = frozenset({ErrorClass.RATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why a number or an app is stopped.

    Attributes:
        kind: The class of the refusal.
        until: When one bubble may try.
        refusals: How many in a row.
        version: Version of the number's settings when it was stopped.
        tried: True once one was let through to try.
    """

    kind: ErrorClass
    until: float
    refusals: int
    version: tuple[int, bool]
    tried: bool = False

    def outdated(self, version: tuple[int, bool]) -> bool:
        """Tell whether the number has another token, or another switch, than the refused one."""
        return self.kind is ErrorClass.AUTH and version != self.version


class Stops:
    """The stops of one worker, by number or app."""

    def __init__(self) -> None:
        self.known: dict[str, Stop] = {}

    def refused(self, name: str, kind: ErrorClass, version: tuple[int, bool], now: float) -> None:
        """Stop a number or an app after a refusal of a kind that stops; others change nothing.

        What was on its way when it was stopped is refused as well, and says nothing new, unless
        its token is another one.
        """
        if kind not in STOPS_S:
            return
        refusals, before = 1, self.known.get(name)
        if before is not None and before.kind is kind:
            if not before.tried and not before.outdated(version):
                return
            refusals = before.refusals + 1
        first, longest = STOPS_S[kind]
        until = now + min(longest, first * 2.0 ** min(refusals - 1, 16))
        self.known[name] = Stop(kind=kind, until=until, refusals=refusals, version=version)

    def accepted(self, name: str) -> None:
        """End a stop: WhatsApp took something."""
        self.known.pop(name, None)

    def tries(self, name: str, now: float) -> None:
        """Note that one is let through: the others wait for what comes of it."""
        stop = self.known.get(name)
        if stop is not None:
            first, _ = STOPS_S[stop.kind]
            self.known[name] = replace(stop, until=max(stop.until, now + first), tried=True)

    def unproven(self, name: str, now: float) -> None:
        """Let the next one try at once: what came of the one that did says nothing of the stop."""
        stop = self.known.get(name)
        if stop is not None and stop.tried:
            self.known[name] = replace(stop, until=now)

    def state(self, name: str, version: tuple[int, bool], now: float) -> State:
        """Tell whether all may be sent, one may try, or nothing may be sent."""
        stop = self.known.get(name)
        if stop is None or stop.outdated(version):
            self.known.pop(name, None)
            return State.OPEN
        return State.ONE if now >= stop.until else State.STOPPED

    def standing(self, versions: Callable[[str], tuple[int, bool]], now: float) -> int:
        """Return how many stops stand, as far as this worker has heard lately.

        Args:
            versions: Returns the version of a number's settings.
            now: The same seconds as everywhere here.
        """
        return sum(
            now < stop.until + TOLD_S and not stop.outdated(versions(name))
            for name, stop in self.known.items()
        )
