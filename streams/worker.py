"""A worker process: stages on one Faust app, sinks beside it, health, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from agents.ports import Clock
from schemas.errors import PipelineError
from streams.deadletters.fuse import FuseBlown
from streams.engine import Engine
from streams.kafka.groups import Groups
from streams.kafka.layouts import Layouts
from streams.logs import place
from streams.metrics import REFUSED
from streams.parts import Build, Parts
from streams.patience import patiently
from streams.settings import Settings
from streams.sinking import SinkRunner
from streams.state.proof import OtherLog
from streams.watch.deadman import Deadman
from streams.watch.health import Health, HealthServer
from streams.watch.lookout import Lookout

log = structlog.get_logger(__name__)

T = TypeVar("T")
SHOWN_S: Final = 40.0
"""Two scrapes: to be started again at once would help nothing, and somebody has to be told."""
MEASURE_S: Final = 2.0
GRACE_S: Final = 20.0
"""How much longer than its drain an orderly stop may take before the process gives up on it."""


class Stopped(Exception):
    """The operator asked the process to stop."""


class Stuck(PipelineError):
    """The worker makes no progress, and nothing outside is the cause."""


class Worker:
    """One worker process.

    Attributes:
        health: What it says about itself.
        starting: What it does before it serves, or None.
        leaving: True when it does not come back.
        shown_s: How long its metrics are shown when it has ended because of another log, or because
            its fuse has blown.
    """

    def __init__(
        self,
        settings: Settings,
        build: Build,
        *,
        clock: Clock,
        group: str | None = None,
        shown_s: float = SHOWN_S,
    ) -> None:
        self.settings = settings
        self.build = build
        self.clock = clock
        self.group = group
        self.health = Health()
        self.starting: str | None = "starting"
        self.health.checks["worker"] = lambda: self.starting
        self.stop = asyncio.Event()
        self.leaving = False
        self.open = contextlib.AsyncExitStack()
        self.shown = contextlib.AsyncExitStack()
        self.shown_s = shown_s
        self.guard: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Run until a signal, or until something breaks; return the exit code.

        After SIGTERM it may come back, so it keeps its place in the group; SIGINT is for good.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop.set)
        loop.add_signal_handler(signal.SIGINT, self._leave)
        code = 0
        shown_s = 0.0
        try:
            await self._until_stopped(self._serve())
        except Stopped:
            log.info("worker.stopping")
        except PipelineError as exc:  # our own messages hold nothing personal
            REFUSED.inc(isinstance(exc, OtherLog))
            if isinstance(exc, OtherLog | FuseBlown):
                shown_s = self.shown_s
            log.error("worker.crashed", error=str(exc))  # noqa: TRY400 - the message is the point
            code = 1
        except Exception as exc:  # noqa: BLE001 - the last line of a dying process must be clear
            log.error("worker.crashed", error=place(exc))  # noqa: TRY400 - I7: no foreign text
            code = 1
        self.starting = "stopping"
        clean = await self._closed(self.open)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), shown_s)
        clean &= await self._closed(self.shown)
        code = code if clean else 1
        log.info("worker.stopped", code=code)
        return code

    async def _closed(self, parts: contextlib.AsyncExitStack) -> bool:
        """Close what was opened; say whether all of it could be, in time."""
        try:
            await asyncio.wait_for(parts.aclose(), self.settings.drain_s + GRACE_S)
        except Exception as exc:  # noqa: BLE001 - the process ends all the same
            log.error("worker.unclean", error=place(exc))  # noqa: TRY400 - I7: no foreign text
            return False
        return True

    def _leave(self) -> None:
        self.leaving = True
        self.stop.set()

    async def _until_stopped(self, work: Any) -> None:
        running = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self.stop.wait())
        await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if running.done():
            running.result()
            return
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        raise Stopped

    async def _serve(self) -> None:
        settings = self.settings
        server = HealthServer(self.health, settings.http_host, settings.worker_port)
        await server.start()
        self.shown.push_async_callback(server.stop)
        parts = await self._patiently("building", self.build)
        self.open.push_async_callback(parts.close)
        self.open.push_async_callback(parts.publisher.stop)
        await self._patiently("publisher", parts.publisher.start)
        self.open.push_async_callback(parts.tenants.stop)
        engine = self._engine(parts) if parts.stages else None
        await asyncio.gather(
            self._patiently("reading tenant settings", parts.tenants.start),
            *([self._check(engine)] if engine else []),
        )
        self.open.push_async_callback(self._end_guard)
        watched = [await self._start_sink(sink) for sink in parts.sinks]
        if engine:
            self.open.push_async_callback(lambda: engine.stop(leave=self.leaving))
            await engine.start()
            watched.append(asyncio.create_task(self._watch(engine), name="engine"))
        guard = self._guard(self._lookouts(parts, engine), parts.sinks)
        self.guard = asyncio.create_task(guard, name="guard")
        watched.append(self.guard)
        if parts.loading is not None:
            self.starting = "loading"
            await parts.loading
        self.starting = None
        log.info("worker.started", stages=[stage.name for stage in parts.stages])
        done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        raise PipelineError("a part of the worker ended by itself")

    async def _start_sink(self, sink: SinkRunner) -> asyncio.Task[None]:
        self.health.checks[sink.name] = sink.why_not_ready
        self.open.push_async_callback(lambda: sink.stop(leave=self.leaving))
        await self._patiently(f"sink {sink.name}", sink.start)
        if sink.task is None:
            raise PipelineError(f"sink {sink.name} did not start")
        return sink.task

    def _engine(self, parts: Parts) -> Engine:
        engine = Engine(
            self.settings,
            parts.stages,
            parts.codec,
            parts.publisher,
            clock=self.clock,
            group=self.group,
            rest=parts.rest,
        )
        self.health.checks["stages"] = engine.why_not_ready
        self.health.checks["dependencies"] = engine.dependencies.why
        return engine

    async def _check(self, engine: Engine) -> None:
        """Check what the stages will read, and that nobody else runs them."""
        await self._patiently("topics", engine.check)
        if self.group is None:
            layouts = Layouts(Groups(self.settings.kafka_bootstrap))
            refuse = partial(asyncio.to_thread, layouts.refuse_other, list(engine.running))
            await self._patiently("layout", refuse)

    async def _patiently(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """Call until everything that it needs is there; health tells what it waits for."""

        def told(starting: str) -> None:
            self.starting = starting

        return await patiently(what, call, told=told)

    async def _watch(self, engine: Engine) -> None:
        """Measure the engine until it ends; raise what ended it, or that its topics grew."""
        ended = asyncio.ensure_future(engine.app.wait_until_stopped())
        try:
            while not ended.done():
                _measure(engine)
                await asyncio.wait({ended}, timeout=MEASURE_S)
        except Exception as exc:
            if engine.app.crash_reason is None:
                raise
            raise engine.app.crash_reason from exc  # it came first, and says more
        finally:
            ended.cancel()
        if engine.app.crash_reason is not None:
            raise engine.app.crash_reason

    def _lookouts(self, parts: Parts, engine: Engine | None) -> list[Lookout]:
        patience_s = self.settings.stuck_s
        found = [
            Lookout(sink.seat, sink.dependencies, sink.calling, patience_s) for sink in parts.sinks
        ]
        if engine is not None:
            found.append(Lookout(engine, engine.dependencies, engine.calling, patience_s))
        return found

    async def _guard(self, lookouts: Sequence[Lookout], sinks: Sequence[SinkRunner]) -> None:
        """Watch that every part makes progress, and that the event loop runs; measure the sinks.

        Raises:
            Stuck: A part makes none.
        """

        def why() -> str | None:
            return next((each.why for each in lookouts if each.why is not None), None)

        self.health.checks["watchdog"] = why
        deadman = Deadman(self.settings.stuck_s)
        deadman.start()
        try:
            while True:
                for lookout in lookouts:
                    deadman.beat()
                    await lookout.look()
                    if lookout.why is not None:
                        raise Stuck(lookout.why)
                for sink in sinks:
                    sink.seat.measure()  # also while its batch waits or hangs
                await asyncio.sleep(MEASURE_S)
        finally:
            deadman.stop()

    async def _end_guard(self) -> None:
        """Watch no more; the last thing, since a stop may hang too."""
        if self.guard is not None:
            self.guard.cancel()
            await asyncio.gather(self.guard, return_exceptions=True)


def _measure(engine: Engine) -> None:
    """Measure the engine.

    Raises:
        Misconfigured: Somebody has changed the number of partitions.
    """
    engine.measure()
    engine.check_growth()
