"""Start parts as soon as what they need is ready, watch them, stop them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from schemas.changing import replace
from streams.local.stack.hold import Ledger
from streams.local.stack.part import Part, start_order
from streams.local.stack.process import Crashed, Process, crash_report
from streams.local.stack.together import together

Tell = Callable[[str, str], None]
"""Takes a part's name and one short line about it."""

RESTARTS: Final = 5
RESTART_S: Final = 1.0
PROBE_EVERY_S: Final = 0.05


def unbroken(tell: Tell) -> Tell:
    """Return one that goes on when nobody reads: a closed pipe or terminal must stop no stop.

    Rich ends the process for a closed pipe.
    """

    def told(name: str, line: str) -> None:
        with contextlib.suppress(OSError, SystemExit):
            tell(name, line)

    return told


class Supervisor:
    """The running parts of one stack.

    Attributes:
        crashed: Done, with the reason, when a part ended by itself and is not restarted.
    """

    def __init__(
        self, parts: Iterable[Part], *, logs: Path, ledger: Ledger, tell: Tell, restart: bool
    ) -> None:
        self._parts = {part.name: part for part in parts}
        self._waves = start_order(self._parts.values())
        self._logs = logs
        self._ledger = ledger
        self._tell = unbroken(tell)
        self._restart = restart
        self._processes: dict[str, Process] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._ready: dict[str, asyncio.Event] = {}
        self.crashed: asyncio.Future[Crashed] = asyncio.get_running_loop().create_future()

    @property
    def names(self) -> list[str]:
        """Parts that keep running, in the order of their start."""
        return [name for wave in self._waves for name in wave if not self._parts[name].once]

    async def start_all(self) -> None:
        """Start everything; when one part fails, the others are left to `stop_all`.

        Raises:
            PipelineError: A part could not be prepared, ended or is not ready in time.
        """
        self._ready = {name: asyncio.Event() for name in self._parts}
        await together(self._bring_up(name) for name in self._parts)
        if self.crashed.done():
            raise self.crashed.result()

    async def start(self, name: str) -> None:
        """Start one part (again) and wait until it is ready.

        Raises:
            Crashed: It ended or is not ready in time.
            KeyError: There is no such part.
        """
        part = self._parts[name]
        if name not in self._processes or self._processes[name].ended is not None:
            await self._follow(self._spawn(part))

    async def stop(self, name: str, *, back: bool = False) -> None:
        """Stop one part in good order; it is not restarted here, but comes ``back`` or not."""
        self._unwatch(name)
        if process := self._processes.get(name):
            await process.stop(signal.SIGTERM if back else None)

    async def kill(self, name: str) -> None:
        """Kill one part (SIGKILL), as a crash would; it is not restarted nor reported."""
        self._unwatch(name)
        await self._processes[name].kill()

    def signal(self, name: str, number: int) -> None:
        """Send one part a signal, such as SIGSTOP or SIGCONT."""
        self._processes[name].signal(number)

    def pid(self, name: str) -> int:
        """Return the process id of a part."""
        return self._processes[name].pid

    def ended(self, name: str) -> int | None:
        """Return how a part ended, minus the signal's number when one did; None: it runs."""
        return self._processes[name].ended

    def launch(self, name: str, more: Mapping[str, str] | None = None) -> None:
        """Start one part that has ended, waiting for nothing and watching nothing."""
        part = self._parts[name]
        self._unwatch(name)
        self._spawn(replace(part, env={**part.env, **more}) if more else part)

    async def stop_all(self) -> None:
        """Stop everything, what needs others first."""
        for name in list(self._watches):
            self._unwatch(name)
        for wave in reversed(self._waves):
            running = [self._processes[name] for name in wave if name in self._processes]
            for process in running:
                if process.ended is None:
                    self._tell(process.part.name, "stopping")
            await asyncio.gather(*[process.stop() for process in running])
        self._ledger.clear()

    async def _bring_up(self, name: str) -> None:
        part = self._parts[name]
        if part.prepare:
            await part.prepare(lambda line: self._tell(name, line))
        await self._until_all_ready(part.follows)
        held = self._spawn(part, held=True) if part.held else None
        await self._until_all_ready(part.needs)
        self._tell(name, "running" if part.once else "starting")
        if held:
            held.release()
            await self._follow(held)
        else:
            await self.start(name)
        if part.settle:
            await part.settle()
        self._tell(name, "done" if part.once else "ready")
        self._ready[name].set()

    async def _until_all_ready(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._ready:
                await self._ready[name].wait()

    def _spawn(self, part: Part, *, held: bool = False) -> Process:
        process = self._processes[part.name] = Process(part, self._log(part.name), held=held)
        self._ledger.add(process)
        return process

    async def _follow(self, process: Process) -> None:
        """Wait until a process is ready, then watch it."""
        await self._until_ready(process)
        if not process.part.once:
            name = process.part.name
            self._watches[name] = asyncio.create_task(self._watch(name))

    async def _until_ready(self, process: Process) -> None:
        part = process.part
        log = self._log(part.name)
        try:
            async with asyncio.timeout(part.ready_s):
                while process.ended is None:
                    if part.probe and await part.probe.ready():
                        return
                    await asyncio.sleep(PROBE_EVERY_S)
        except TimeoutError:
            raise Crashed(f"{part.name} was not ready within {part.ready_s:.0f} s") from None
        status = await process.wait()
        if status or not part.once:
            raise Crashed(crash_report(part.name, status, log))

    async def _watch(self, name: str) -> None:
        """Wait for the end of a part; start it again where that is wanted or others do its work."""
        for left in range(RESTARTS, -1, -1):
            process = self._processes[name]
            status = await process.wait()
            report = crash_report(name, status, self._log(name))
            part = process.part
            if not (left and (part.spare or (self._restart and part.own))):
                break
            self._tell(name, f"{report}\n{name} starts again")
            await asyncio.sleep(RESTART_S)
            process = self._spawn(part)
            with contextlib.suppress(Crashed):
                await self._until_ready(process)
                self._tell(name, "ready")
        if not self.crashed.done():
            self.crashed.set_result(Crashed(report))

    def _unwatch(self, name: str) -> None:
        if task := self._watches.pop(name, None):
            task.cancel()

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"
