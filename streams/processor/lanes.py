"""Lanes (promise I2): many conversations in flight, strict order inside each over all its topics.

A lane is the queue of one (partition, conversation). Its first event is the running one. A lane
that is full, or a stage that is, by events or by their bytes, holds back only the partition whose
record did not fit.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import structlog
from faust.types import TP

from agents.ports import SWITCHED_OFF, Superseded
from streams.logs import place
from streams.metrics import INFLIGHT, LANE, LOCKS_ACQUIRED, LOCKS_FAILED, LOCKS_SECONDS
from streams.processor.stage import Stage

log = structlog.get_logger(__name__)

# Looked up once: every event uses them.
ENTERED: Final = LOCKS_ACQUIRED.labels(LANE)
CUT_SHORT: Final = LOCKS_FAILED.labels(LANE)
HELD_S: Final = LOCKS_SECONDS.labels(LANE)

LANE_SHARE: Final = 1 / 8
"""Part of a stage's bytes that one conversation may fill."""

LaneKey = tuple[int, bytes | None]
T = TypeVar("T")


class Handler(Protocol):
    """What runs in the lanes (see ``streams.processor.loop``)."""

    def done_before(self, message: Any) -> bool:
        """Tell that a redelivered message needs nothing more."""

    async def handle(self, message: Any) -> None:
        """Process one message; it settles the message itself or leaves it for redelivery."""


class Lane:
    """The queue of one conversation; ``began_s`` is when its first event began, if it did."""

    __slots__ = ("arrived", "began_s", "bytes", "queue", "task")

    def __init__(self, message: Any) -> None:
        self.bytes = size(message)
        self.began_s: float | None = None
        self.queue: deque[Any] = deque([message])
        self.task: asyncio.Task[None] | None = None
        self.arrived: asyncio.Event | None = None  # made on demand: most events never look


class Lanes:
    """Runs ``handler.handle(message)`` for each message; one at a time per lane.

    Attributes:
        held: Partitions that wait for room, and the lane that was full (None: the stage).
        inflight: Events taken and not finished.
        inflight_bytes: Bytes of their records.
        draining: True while no new event is taken and what runs may end.
        closing: Set when no queued event may begin any more.
    """

    def __init__(self, app: Any, stage: Stage, handler: Handler) -> None:
        self.app = app
        self.stage = stage
        self.handler = handler
        self.lanes: dict[LaneKey, Lane] = {}
        self.held: dict[TP, LaneKey | None] = {}
        self.inflight = 0
        self.inflight_bytes = 0
        self.draining = False
        self.closing = asyncio.Event()
        INFLIGHT.labels(stage.name).set_function(lambda: self.inflight)

    def take(self, message: Any) -> bool:
        """Take a message straight from the consumer; False when its partition must wait."""
        key = self.key(message)
        lane = self.lanes.get(key)
        if lane is None and self.handler.done_before(message):
            self.app.consumer.settle(message)
            return True
        more = size(message)
        if self._full(more):
            self.held[message.tp] = None
            return False
        if lane is not None and self._lane_full(lane, more):
            self.held[message.tp] = key
            return False
        self.inflight += 1
        self.inflight_bytes += more
        if lane is not None:
            lane.queue.append(message)
            lane.bytes += more
            if lane.arrived is not None:
                lane.arrived.set()
            return True
        self.draining = False
        self.closing.clear()
        lane = self.lanes[key] = Lane(message)
        lane.task = asyncio.get_running_loop().create_task(self._run(key, lane))
        return True

    def _full(self, more: int) -> bool:
        """Tell whether the stage has no room; a record larger than all of it is taken alone."""
        stage = self.stage
        return self.inflight >= stage.max_inflight or bool(
            self.inflight and self.inflight_bytes + more > stage.max_inflight_bytes
        )

    def _lane_full(self, lane: Lane, more: int) -> bool:
        stage = self.stage
        return (
            len(lane.queue) >= stage.lane_limit
            or lane.bytes + more > stage.max_inflight_bytes * LANE_SHARE
        )

    @staticmethod
    def key(message: Any) -> LaneKey:
        """Return the lane of a message: its conversation, whatever topic it came from."""
        return (message.partition, message.key)

    def current(self, message: Any) -> bool:
        """Tell whether the message still belongs to this worker's assignment."""
        alive = self.draining or self.app.flow_control.is_active()
        return bool(alive and message.generation_id == self.app.consumer_generation_id)

    def calling(self, now_s: float) -> bool:
        """Tell whether a running event is within the time limit of the stage's calls."""
        since_s = now_s - self.stage.call_limit_s
        begun = (lane.began_s for lane in self.lanes.values())
        return any(began_s is not None and began_s > since_s for began_s in begun)

    async def unless(
        self,
        message: Any,
        newer: Callable[[Any], bool],
        call: Awaitable[T],
        stopped: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """Await a call, but cancel it when a newer matching message waits in the lane.

        The same when ``stopped`` returns: the tenant's kill switch.

        Raises:
            Superseded: The call was cancelled.
        """
        running = asyncio.ensure_future(call)
        watches = {asyncio.ensure_future(self._match(self.lanes[self.key(message)], newer)): ""}
        if stopped is not None:
            watches[asyncio.ensure_future(stopped())] = SWITCHED_OFF
        try:
            await asyncio.wait({running, *watches}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            watch = next(each for each in watches if each.done())
            watch.result()
            raise Superseded(watches[watch])
        finally:
            for future in (running, *watches):
                future.cancel()
            await asyncio.gather(running, *watches, return_exceptions=True)

    async def _match(self, lane: Lane, newer: Callable[[Any], bool]) -> None:
        seen = 1  # the first is the running one; the queue only grows while it runs
        while True:
            waiting = list(lane.queue)[seen:]
            if any(map(newer, waiting)):
                return
            seen += len(waiting)
            lane.arrived = lane.arrived or asyncio.Event()
            lane.arrived.clear()
            await lane.arrived.wait()

    async def pause(self, seconds: float) -> bool:
        """Wait inside a lane; False when the lanes close and nothing is to be tried again."""
        try:
            await asyncio.wait_for(self.closing.wait(), seconds)
        except TimeoutError:
            return True
        return False

    async def _run(self, key: LaneKey, lane: Lane) -> None:
        queue = lane.queue
        try:
            while queue and not self.closing.is_set():
                began = lane.began_s = time.monotonic()
                if self.current(queue[0]):
                    ENTERED.inc()
                    await self.handler.handle(queue[0])
                    HELD_S.observe(time.monotonic() - began)
                left = size(queue.popleft())
                lane.bytes -= left
                self._leave(key, 1, left)
        except Exception as exc:  # noqa: BLE001 - a bug of the loop itself must not end silently
            log.error("lane.given_up", error=place(exc), stage=self.stage.name)  # noqa: TRY400
            await self.app.crash(exc)
        finally:
            if queue:
                CUT_SHORT.inc(len(queue))
            if self.lanes.get(key) is lane:
                del self.lanes[key]
                self._leave(key, len(queue), lane.bytes)

    def _leave(self, key: LaneKey, count: int, left: int) -> None:
        """Make room; a held partition goes on when there is enough of it."""
        self.inflight -= count
        self.inflight_bytes -= left
        if not self.held:
            return
        stage, lane = self.stage, self.lanes.get(key)
        lane_room = lane is None or (
            len(lane.queue) <= stage.lane_limit // 2
            and lane.bytes <= stage.max_inflight_bytes * LANE_SHARE / 2
        )
        stage_room = (
            self.inflight <= stage.max_inflight * 3 // 4
            and self.inflight_bytes <= stage.max_inflight_bytes * 3 // 4
        )
        for tp, full in list(self.held.items()):
            if stage_room if full is None else full == key and lane_room:
                del self.held[tp]

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [lane.task for lane in self.lanes.values() if lane.task is not None]

    async def drain(self, seconds: float) -> int:
        """Work off what is queued as long as it may; then wait for the running events only.

        An event left in a queue holds back the commit of later ones, whose effects are then
        published again. Returns how many events are left.
        """
        now = time.monotonic()
        self.draining = True
        await self._idle(now + seconds * self.stage.queued_share)
        self.closing.set()
        await self._idle(now + seconds)
        return self.inflight

    async def _idle(self, end: float) -> None:
        while self.lanes and (left := end - time.monotonic()) > 0:
            await asyncio.wait(self._tasks(), timeout=left)

    async def cancel(self) -> None:
        """Cancel what still runs; it was not settled, so it is delivered again."""
        self.draining = False
        self.closing.set()
        tasks = self._tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.lanes.clear()  # a task that was cancelled before it began has not tidied up
        self.held.clear()
        self.inflight = 0
        self.inflight_bytes = 0


def size(message: Any) -> int:
    """Return the bytes of a record that is kept in memory."""
    return len(message.value or b"")
