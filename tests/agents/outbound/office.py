"""The gate with its desk: a clock moved by hand, claims in memory, a courier that is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from agents.core.gate import Gate
from agents.given_up import outbound_gave_up
from agents.outbound import Desk, outbound
from agents.ports import (
    Accepted,
    Asked,
    Claimed,
    Letter,
    NotSent,
    Observation,
    Receipt,
    Withheld,
)
from schemas.errors import Unavailable
from schemas.events import (
    BubbleState,
    Event,
    OutboundSettled,
    Position,
    SettingsChanged,
    TimerFired,
)
from tests.agents.outbound.desk import T0, envelope

T = TypeVar("T")


class Delivered:
    """A delivery whose call nothing supersedes."""

    source = Position(topic="outbound.message.requested", partition=0, offset=1)

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    async def unless(self, _: Callable[[Event], bool], call: Awaitable[T], /, **__: object) -> T:
        return await call


class Rows:
    """Claims in memory; ``down`` makes Postgres unreachable, ``deaf`` only for results.

    ``broken`` is a bug of whoever asks whether one is taken.
    """

    def __init__(self, clock: Hands) -> None:
        self.clock = clock
        self.results: dict[tuple[str, str, int], str | None] = {}
        self.bars: dict[str, int] = {}
        self.down = False
        self.broken: Exception | None = None
        self.deaf: Exception | None = None
        self.takes_ms = 0

    async def claim(self, kind: str, effect_id: str, attempt: int, /) -> bool:
        if self.down:
            raise Unavailable("postgres")
        self.clock.ms += self.takes_ms
        if (kind, effect_id, attempt) in self.results:
            return False
        self.results[kind, effect_id, attempt] = None
        return True

    async def claim_ai(
        self, bubble_id: str, attempt: int, conversation_id: str, epoch: int, /
    ) -> Claimed:
        taken = ("bubble", bubble_id, attempt) in self.results
        if self.bars.get(conversation_id, 0) > epoch and not taken:
            return "barred"
        return "given" if await self.claim("bubble", bubble_id, attempt) else "taken"

    async def taken(self, kind: str, effect_id: str, attempt: int, /) -> bool:
        if self.broken is not None:
            raise self.broken
        if self.down:
            raise Unavailable("postgres")
        return (kind, effect_id, attempt) in self.results

    async def settle(self, kind: str, effect_id: str, attempt: int, result: str, /) -> None:
        if self.deaf is not None:
            raise self.deaf
        self.results[kind, effect_id, attempt] = result

    async def result(self, kind: str, effect_id: str, attempt: int, /) -> str | None:
        return self.results[kind, effect_id, attempt]


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.ms = T0

    def now_ms(self) -> int:
        return self.ms


class Posting:
    """A courier that gives what it was told to give."""

    def __init__(self, clock: Hands, receipt: Receipt | None = None) -> None:
        self.clock = clock
        self.receipt: Receipt = receipt or Accepted(wamid="wamid.1")
        self.letters: list[Letter] = []

    async def post(self, letter: Letter, /, *, until_ms: int) -> Receipt:
        if self.clock.now_ms() > until_ms:
            return NotSent(reason="claim_expired")
        self.letters.append(letter)
        self.clock.ms += 40
        return self.receipt


class Known:
    """The settings of every tenant; None: no tenant is known."""

    def __init__(self, settings: SettingsChanged | None) -> None:
        self.settings = settings

    def get(self, _: str, /) -> SettingsChanged | None:
        return self.settings


class Doorman:
    """Permits; ``reason`` withholds them."""

    def __init__(self) -> None:
        self.reason = ""
        self.asked: list[Asked] = []
        self.came: list[Receipt | None] = []

    async def ask(self, asked: Asked, /) -> Withheld | None:
        self.asked.append(asked)
        return Withheld(reason=self.reason) if self.reason else None

    def ended(self, _: Asked, receipt: Receipt | None, /) -> None:
        self.came.append(receipt)


class Office:
    """Handles events one by one; a state that is not handed on is one that nobody wrote."""

    def __init__(self) -> None:
        self.clock = Hands()
        self.settings: SettingsChanged | None = None
        self.permits = Doorman()
        self.seen: list[Observation] = []
        self.claims = Rows(self.clock)
        self.courier = Posting(self.clock)

    async def handle(
        self, event: Event, state: Gate | None = None
    ) -> tuple[Gate, tuple[Event, ...]]:
        return await outbound(state, event, Delivered(self.clock.now_ms()), desk=self._desk)

    async def give_up(
        self, event: Event, state: Gate | None = None
    ) -> tuple[Gate, tuple[Event, ...]]:
        delivery = Delivered(self.clock.now_ms())
        return await outbound_gave_up(state, event, delivery, "bug", desk=self._desk)

    @property
    def _desk(self) -> Desk:
        return Desk(
            claims=self.claims,
            permits=self.permits,
            courier=self.courier,
            clock=self.clock,
            tenants=Known(self.settings),
            ended=self.permits.ended,
            observe=self.seen.append,
        )


def fired(timer: str, state: Gate) -> TimerFired:
    due = state.timers[timer]
    key = f"{timer}:{due}"
    return TimerFired(**envelope("outbound.timer.fired", key, due), timer=timer, due_at=due)


def told(effects: tuple[Event, ...]) -> list[tuple[str, BubbleState, str]]:
    ended = (each for each in effects if isinstance(each, OutboundSettled))
    return [(each.bubble_id, each.state, each.reason) for each in ended]


def ends(effects: tuple[Event, ...]) -> list[BubbleState]:
    return [each.state for each in effects if isinstance(each, OutboundSettled)]
