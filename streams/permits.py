"""Permits to send: leases of numbers, the newest second of each, who goes next, what is stopped.

Waiting is state of the gate with a timer; this only publishes the timer early when the bubble's
turn has come. What is known here is lost with the process: then the timers fire at their time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from agents.core.channel_stops import STOPS_S, WHOLE_APP, State, Stops
from agents.core.number_rate import NumberRate
from agents.core.rate_queue import Rank, Waiting, rank_of
from agents.core.whatsapp_errors import ErrorClass, classify
from agents.ports import (
    Accepted,
    Asked,
    Clock,
    NotSent,
    Receipt,
    Refused,
    Withheld,
)
from schemas.errors import Unavailable
from schemas.events import Channel
from streams.clock import elapsed_s
from streams.logs import place
from streams.metrics import (
    CHANNELS_STOPPED,
    NUMBER_SHARE,
    NUMBER_USED,
    NUMBER_WAITING,
    WITHHELD,
)
from streams.processor.stage import Hasten
from streams.rates import Leases, NumberRates

log = structlog.get_logger(__name__)

LOOK_S: Final = 0.02
"""How often is looked for room while somebody waits."""
UNHEARD_S: Final = 1.0
"""How long nobody is woken when Kafka is down."""
STORED_S: Final = 5.0
"""So long after a bubble was told to wait its timer may not be stored yet."""


class NumberPermits:
    """The ``agents.ports.Permits`` of one worker.

    Attributes:
        rates: Numbers in use.
        stops: Numbers and apps that may not send.
        hasten: Publishes a timer early; set when the stage runs.
    """

    def __init__(
        self,
        leases: Leases,
        channel: Callable[[str], Channel | None],
        *,
        clock: Clock,
        monotonic: Callable[[], float] = elapsed_s,
    ) -> None:
        self.channel = channel
        self.clock = clock
        self.monotonic = monotonic
        self.rates = NumberRates(leases, channel, monotonic=monotonic)
        self.stops = Stops()
        self.hasten: Hasten | None = None
        self._asked: dict[str, tuple[float, tuple[int, bool]]] = {}
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        NUMBER_SHARE.set_function(
            lambda: sum(r.most(monotonic()) for r in self.rates.known.values())
        )
        NUMBER_USED.set_function(
            lambda: sum(r.window.carried(monotonic()) for r in self.rates.known.values())
        )
        NUMBER_WAITING.set_function(lambda: sum(len(r.queue) for r in self.rates.known.values()))
        CHANNELS_STOPPED.set_function(
            lambda: self.stops.standing(lambda name: _version(self._channel(name)), monotonic())
        )

    def woken_by(self, hasten: Hasten) -> None:
        """Use this to wake who waits."""
        self.hasten = hasten

    def start(self) -> None:
        """Begin to renew leases, and to wake who waits."""
        self._tasks = [
            asyncio.create_task(self.rates.live(), name="permits.leases"),
            asyncio.create_task(self._release(), name="permits.waiting"),
        ]

    async def stop(self) -> None:
        """Give the leases up; one that cannot be given up expires."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.rates.leave()

    # What the gate asks

    async def ask(self, asked: Asked, /) -> Withheld | None:
        """Return None when a bubble may be sent now.

        Raises:
            Unavailable: Postgres is down, and with it the lease.
        """
        channel = self._channel(asked.phone_number_id)
        rank = rank_of(asked.author, asked.deadline_ms)
        rate = self.rates.of(asked.phone_number_id)
        if channel.messages_per_second and not rate.leased(self.monotonic()):
            await self.rates.renew()
        now = self.monotonic()
        stopped = self._stopped(channel, now)
        if stopped and self._state(channel, now) is State.STOPPED:
            return self._withhold(rate, asked, rank, stopped)
        if not self._admits(rate, channel, asked, rank, now):
            # Nobody knows whether an account is still blocked when one may try: this is no end.
            waits = "" if stopped == ErrorClass.ACCOUNT else stopped
            return self._withhold(rate, asked, rank, waits or "number_rate")
        for name in _names(channel):
            self.stops.tries(name, now)
        rate.queue.leave(asked.bubble_id)
        rate.window.begin()
        self._asked[asked.bubble_id] = (now, _version(channel))
        if rate.window.carried(now) * 5 > rate.most(now) * 4:
            self.rates.ask_for_more()
        return None

    def ended(self, asked: Asked, receipt: Receipt | None, /) -> None:
        """Note what came of a bubble that had a permit."""
        began, version = self._asked.pop(asked.bubble_id)
        rate, now = self.rates.of(asked.phone_number_id), self.monotonic()
        channel = self._channel(asked.phone_number_id)
        match receipt:
            case Accepted():
                rate.window.answered(began, now)
                self.stops.accepted(channel.phone_number_id)
                self.stops.accepted(_app(channel))
            case Refused():
                rate.window.answered(began, now)
                self._refused(asked, classify(receipt.code, receipt.status), version, now)
            case NotSent(reason="no_token"):
                rate.window.unsent()
                self._refused(asked, ErrorClass.AUTH, version, now)
            case NotSent() | None:
                rate.window.unsent()
                self._unproven(_names(channel), now)
            case _:
                rate.window.answered(began, now)

    def came(self, phone_number_id: str, at_ms: int) -> None:
        """Note a message of a customer: WhatsApp counts it as well."""
        if not self._channel(phone_number_id).messages_per_second:
            return
        rate, now = self.rates.of(phone_number_id), self.monotonic()
        rate.used_at = now
        rate.window.came(now - max(0, self.clock.now_ms() - at_ms) / 1000)

    def _admits(
        self, rate: NumberRate, channel: Channel, asked: Asked, rank: Rank, now: float
    ) -> bool:
        if not channel.messages_per_second:
            rate.let.pop(asked.bubble_id, None)
            return True
        return rate.admits(asked.bubble_id, rank, now)

    def _withhold(self, rate: NumberRate, asked: Asked, rank: Rank, reason: str) -> Withheld:
        WITHHELD.labels(reason).inc()
        rate.let.pop(asked.bubble_id, None)  # it came, whatever it met
        if reason == ErrorClass.ACCOUNT:  # the gate ends it: nobody must queue behind it
            rate.queue.leave(asked.bubble_id)
            return Withheld(reason=reason)
        timer = f"{'rate' if reason == 'number_rate' else 'held'}:{asked.bubble_id}"
        if not len(rate.queue):
            self.rates.ask_for_more()
        rate.queue.put(rank, asked.conversation_id, timer, self.monotonic())
        self._news.set()
        return Withheld(reason=reason)

    def _refused(
        self, asked: Asked, kind: ErrorClass, version: tuple[int, bool], now: float
    ) -> None:
        """Learn from a refusal what the next request would meet: of what it stops, and no more."""
        channel = self._channel(asked.phone_number_id)
        name = _app(channel) if kind in WHOLE_APP else channel.phone_number_id
        told = {name} if kind in STOPS_S else set()
        self._unproven((each for each in _names(channel) if each not in told), now)
        if kind is ErrorClass.NUMBER_RATE:
            self.rates.of(asked.phone_number_id).halve(now)
        if kind is ErrorClass.AUTH:
            rank = rank_of(asked.author, asked.deadline_ms)
            timer = f"held:{asked.bubble_id}"
            self.rates.of(asked.phone_number_id).queue.put(rank, asked.conversation_id, timer, now)
            self._news.set()
        self.stops.refused(name, kind, version, now)
        if kind in (ErrorClass.AUTH, ErrorClass.ACCOUNT, ErrorClass.SPAM):
            log.error("channel.stopped", kind=str(kind))

    def _unproven(self, names: Iterable[str], now: float) -> None:
        for name in names:
            self.stops.unproven(name, now)

    # Who goes next

    async def _release(self) -> None:
        while True:
            if not any(len(rate.queue) for rate in self.rates.known.values()):
                await self._news.wait()
            self._news.clear()
            try:
                await self.wake()
            except Unavailable:  # whatever publishes says so
                await asyncio.sleep(UNHEARD_S)
            except Exception as exc:  # noqa: BLE001 - their own timers would wake them, but late
                log.error("permits.failed", error=place(exc))  # noqa: TRY400 - I7
            await asyncio.sleep(LOOK_S)

    async def wake(self) -> None:
        """Let those go whose turn has come."""
        now = self.monotonic()
        for number, rate in list(self.rates.known.items()):
            rate.forget_lost(now)
            await self._let_go(rate, self._room(rate, self._channel(number), now), now)

    async def _let_go(self, rate: NumberRate, room: int, now: float) -> None:
        """Wake the first ones; a timer that is not there may not be stored yet.

        Raises:
            Unavailable: Kafka is down; who could not be woken waits on.
        """
        unarmed: list[Waiting] = []
        try:
            while room > 0 and (waiting := rate.release(now)) is not None:
                try:
                    woken = await self._woken(waiting)
                except Unavailable:
                    unarmed.append(waiting)
                    raise
                if woken:
                    room -= 1
                    continue
                rate.let.pop(waiting.bubble_id, None)
                if now - waiting.since < STORED_S:
                    unarmed.append(waiting)
        finally:
            for waiting in unarmed:
                rate.let.pop(waiting.bubble_id, None)
                rate.queue.put_back(waiting)

    async def _woken(self, waiting: Waiting) -> bool:
        return self.hasten is not None and await self.hasten(waiting.conversation_id, waiting.timer)

    def _room(self, rate: NumberRate, channel: Channel, now: float) -> int:
        room = rate.room(now) if channel.messages_per_second else len(rate.queue)
        match self._state(channel, now):
            case State.OPEN:
                return room
            case State.ONE:
                return min(room, 1 - len(rate.let))
            case State.STOPPED:
                return 0

    def _state(self, channel: Channel, now: float) -> State:
        version = _version(channel)
        return min(self.stops.state(name, version, now) for name in _names(channel))

    def _stopped(self, channel: Channel, now: float) -> str:
        """Return why a number is stopped or only tries, or nothing."""
        version = _version(channel)
        states = {name: self.stops.state(name, version, now) for name in _names(channel)}
        name = min(states, key=states.__getitem__)
        return "" if states[name] is State.OPEN else str(self.stops.known[name].kind)

    def _channel(self, number: str) -> Channel:
        return self.channel(number) or Channel(phone_number_id=number, app_id="")


def _version(channel: Channel) -> tuple[int, bool]:
    return channel.token_version, channel.active


def _names(channel: Channel) -> tuple[str, str]:
    """Return what may be stopped: the number, and its app."""
    return channel.phone_number_id, _app(channel)


def _app(channel: Channel) -> str:
    return f"app:{channel.app_id}"
