"""Timers of a stage: due times kept in the states, published once they come.

Waiting is state, not a sleeping task: a new owner arms its timers from the recovered table. What
came while there was no owner may have ended a wait, so some timers let it be read first.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from agents.ports import Clock, State
from schemas.events import TimerFired
from schemas.ids import derived, trace
from streams.kafka.publish import Encoder, Publisher, record_of
from streams.logs import place
from streams.metrics import TIMERS_ARMED, TIMERS_FIRED
from streams.processor.corrections import Corrections
from streams.processor.stage import Stage
from streams.state.records import Early, Kept
from streams.state.table import AckedTable

log = structlog.get_logger(__name__)

AGAIN_MS: Final = 30_000
"""A timer still due after this long is published again; the same id makes that harmless."""
FAILED_MS: Final = 1_000
UNREAD_MS: Final = 1_000
"""How often a timer that waits for what is unread is looked at."""
LOOK_S: Final = 1.0
"""The wall clock may jump, so it is looked at at least this often."""


class Timers:
    """Publishes the due timers of the conversations that this worker owns.

    Attributes:
        due: Next due time and partition of each conversation that has a timer.
        fired: When each timer of a conversation was published, by name and due time.
        corrections: What a clock ahead of ours has armed.
        behind: Tells whether something of a partition is unread that was there when we got it.
        newest: The table value that was read last, and its state.
    """

    def __init__(
        self,
        stage: Stage,
        table: AckedTable,
        codec: Encoder,
        publisher: Publisher,
        *,
        clock: Clock,
        serving: Callable[[], bool],
    ) -> None:
        self.stage = stage
        self.table = table
        self.codec = codec
        self.publisher = publisher
        self.clock = clock
        self.serving = serving
        self.behind: Callable[[int], bool] = lambda _: False
        self.states = msgspec.json.Decoder(stage.state)
        self.due: dict[bytes, tuple[int, int]] = {}
        self.heap: list[tuple[int, bytes]] = []
        self.fired: dict[bytes, dict[tuple[str, int], int]] = {}
        self.corrections = Corrections(stage.absolute)
        self.newest: tuple[bytes, State | None] = b"", None
        self.woken = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        TIMERS_ARMED.labels(stage.name).set_function(lambda: len(self.due))

    def start(self) -> None:
        """Begin to watch the clock."""
        self.task = asyncio.create_task(self._run(), name=f"timers.{self.stage.name}")

    async def stop(self) -> None:
        """Publish no more."""
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task

    def arm(
        self, key: bytes, partition: int, due_ms: int | None, at_ms: int = 0, early: Early = ()
    ) -> None:
        """Note the next due time of a conversation.

        Args:
            key: The conversation.
            partition: Where it is.
            due_ms: When its next timer is due; None is no timer.
            at_ms: When its value was written, by the writer's clock.
            early: Timers that its writer knew to be due before the state says so.
        """
        if due_ms is None:
            self.due.pop(key, None)
            self.fired.pop(key, None)
            self.corrections.forget(key)
            return
        ahead_ms = at_ms - self.clock.now_ms()
        if self.corrections.concern(key, ahead_ms, early):
            due_ms = self._corrected(key, due_ms, ahead_ms, early)
        known = self.due.get(key)
        if known == (due_ms, partition):
            return
        self.due[key] = (due_ms, partition)
        heapq.heappush(self.heap, (due_ms, key))
        if self.heap[0][0] == due_ms:
            self.woken.set()

    def _corrected(self, key: bytes, due_ms: int, ahead_ms: int, early: Early) -> int:
        """Return when the next timer is due by our clock, if the state can be read."""
        raw = self.table.raw(key)
        if raw is None:
            return due_ms
        try:
            timers = self._read(raw).timers
        except ValueError:  # msgspec's errors are ValueErrors; its next event is given up
            return due_ms
        corrected = self.corrections.learn(key, timers, ahead_ms, early)
        return due_ms if corrected is None else corrected

    def _read(self, raw: bytes) -> State:
        """Return the state of a table value.

        Raises:
            ValueError: It cannot be read.
        """
        newest, state = self.newest
        if newest is not raw or state is None:  # each fires, then is armed again
            state = self.states.decode(Kept.of(raw).state)
            self.newest = raw, state
        return state

    def keep(self, partitions: set[int]) -> None:
        """Drop the timers of partitions that are no longer ours."""
        self.due = {key: at for key, at in self.due.items() if at[1] in partitions}
        self.fired = {key: said for key, said in self.fired.items() if key in self.due}
        for key in self.corrections.known.keys() - self.due.keys():
            self.corrections.forget(key)
        self.heap = [(due_ms, key) for key, (due_ms, _) in self.due.items()]
        heapq.heapify(self.heap)

    async def _run(self) -> None:
        while True:
            self.woken.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.woken.wait(), self._seconds())
            if self.serving():
                await self.fire()

    def _seconds(self) -> float:
        if not self.heap:
            return LOOK_S
        return min(max(self.heap[0][0] - self.clock.now_ms(), 1) / 1000, LOOK_S)

    async def fire(self) -> None:
        """Publish every timer that is due."""
        now_ms = self.clock.now_ms()
        sent: list[asyncio.Future[tuple[int, int]]] = []
        while self.heap and self.heap[0][0] <= now_ms:
            due_ms, key = heapq.heappop(self.heap)
            if self.due.get(key, (None,))[0] != due_ms:
                continue  # armed for another time since
            behind = self.behind(self.due[key][1])
            earliest_ms = now_ms + (UNREAD_MS if behind else 1)
            try:
                sent += await self._fire(key, now_ms, behind=behind)
            except Exception as exc:  # noqa: BLE001 - else no timer of this stage ever fires again
                log.warning("timer.failed", stage=self.stage.name, error=place(exc))
                earliest_ms = now_ms + FAILED_MS
            self._rearm(key, now_ms, earliest_ms)
        for result in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(result, BaseException):
                log.warning("timer.unpublished", stage=self.stage.name, error=place(result))

    async def hasten(self, conversation_id: str, name: str) -> bool:
        """Publish a timer before it is due; False when this worker has no such timer.

        The event has the due time of the state, so it is the one that its own time would bring.
        One that was published already is none: the timer that is meant may not be stored yet.

        Raises:
            Unavailable: No broker can be reached.
        """
        key = conversation_id.encode()
        raw = self.table.raw(key) if key in self.due and self.serving() else None
        topic = self.stage.timer_topic
        if raw is None or topic is None:
            return False
        state = self._read(raw)
        due_ms = state.timers.get(name)
        if due_ms is None:
            return False
        said = self.fired.setdefault(key, {})
        if (name, due_ms) in said:
            return False
        now_ms = self.clock.now_ms()
        said[name, due_ms] = now_ms
        event = self._event(state, name, due_ms, now_ms)
        try:
            sent = await self.publisher.post(record_of(event, self.codec))
        except BaseException:
            said.pop((name, due_ms), None)  # else nobody would publish it for a while
            raise
        sent.add_done_callback(_told)
        TIMERS_FIRED.labels(self.stage.name).inc()
        return True

    async def _fire(self, key: bytes, now_ms: int, *, behind: bool) -> list[Any]:
        """Post the due timers of one conversation that were not posted lately."""
        raw = self.table.raw(key)
        if raw is None or self.stage.timer_topic is None:
            return []
        state = self._read(raw)
        said = self.fired.get(key, {})
        still = {
            (name, due): said[name, due]
            for name, due in state.timers.items()
            if (name, due) in said
        }
        self.fired[key] = still
        sent = []
        for name, due_ms in state.timers.items():
            if self.corrections.due(key, name, due_ms) > now_ms:
                continue
            if behind and name.partition(":")[0] in self.stage.patient:
                continue
            if now_ms - still.get((name, due_ms), -AGAIN_MS) < AGAIN_MS:
                continue
            event = self._event(state, name, due_ms, now_ms)
            sent.append(await self.publisher.post(record_of(event, self.codec)))
            still[name, due_ms] = now_ms
            TIMERS_FIRED.labels(self.stage.name).inc()
        return sent

    def _rearm(self, key: bytes, now_ms: int, earliest_ms: int) -> None:
        """Look at the conversation again: at its next timer, or when it is still due."""
        if key not in self.due:
            return
        said = self.fired.get(key, {})
        partition = self.due[key][1]
        state_due = [AGAIN_MS + now_ms]
        raw = self.table.raw(key)
        with contextlib.suppress(ValueError):  # it cannot be read: its next event is given up
            timers = self._read(raw).timers if raw is not None else {}
            state_due += [
                self.corrections.due(key, name, due)
                for name, due in timers.items()
                if (name, due) not in said
            ]
        due_ms = max(min(state_due), earliest_ms)
        self.due[key] = (due_ms, partition)
        heapq.heappush(self.heap, (due_ms, key))

    def _event(self, state: State, name: str, due_ms: int, now_ms: int) -> TimerFired:
        topic = self.stage.timer_topic
        assert topic is not None  # noqa: S101 - _fire asks before
        identity = (state.conversation_id, name, due_ms)
        return TimerFired(
            event=topic.name,
            event_id=derived(*identity),
            trace_id=trace(*identity),
            tenant_id=state.tenant_id,
            conversation_id=state.conversation_id,
            customer_id=state.customer_id,
            idempotency_key=":".join(map(str, identity)),
            occurred_at=now_ms,
            timer=name,
            due_at=due_ms,
        )


def _told(sent: asyncio.Future[Any]) -> None:
    """Log a hastened timer that was not published: it fires again after a while."""
    if not sent.cancelled() and (failed := sent.exception()) is not None:
        log.warning("timer.unpublished", error=place(failed))
