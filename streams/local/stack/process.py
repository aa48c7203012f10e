"""Operating system processes: start one tied to us, find out who it is, end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.errors import PipelineError
from streams.local.stack.part import Part

CHILD: Final = Path(__file__).with_name("child.py")
POLL_S: Final = 0.03
LOG_LIMIT: Final = 16_000_000  # bytes; a longer log is put aside when its part starts
TAIL: Final = 12


@dataclass(frozen=True, slots=True)
class Identity:
    """Which process it is: a pid alone may be given to another process later."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Return who has this pid now; None when nobody has."""
        started = _started(pid)
        return cls(pid, started) if started else None

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return bool(self.started) and _started(self.pid) == self.started


def stat_fields(pid: int) -> list[str]:
    """Return what Linux tells of a process, from its state on; nothing when it is gone.

    Source: proc_pid_stat(5), from field 3.
    """
    try:
        # The name may hold spaces and brackets: count from behind its closing one.
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []


def _started(pid: int) -> str:
    """Return when the process started, as text that only equals itself; empty when it is gone."""
    if Path("/proc/self").exists():
        fields = stat_fields(pid)
        if not fields:
            return ""
        # State Z is a zombie: ended, only not yet collected by its parent.
        return "" if fields[0] == "Z" else fields[19]
    command = ["/bin/ps", "-o", "lstart=", "-p", str(pid)]
    # Systems without /proc; the command is fixed and the pid is a number.
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip()


class Process:
    """A running part."""

    def __init__(self, part: Part, log: Path, *, held: bool = False) -> None:
        self.part = part
        self.log = log
        self._popen = _spawn(part, log, subprocess.PIPE if held else subprocess.DEVNULL)
        self.identity = Identity.of(self._popen.pid) or Identity(self._popen.pid, "")

    @property
    def pid(self) -> int:
        """Its process id; also that of its group."""
        return self._popen.pid

    @property
    def ended(self) -> int | None:
        """Its exit status, minus the signal's number when a signal ended it; None: it runs."""
        return self._popen.poll()

    def release(self) -> None:
        """End its standard input, which a held process waits for."""
        if self._popen.stdin:
            self._popen.stdin.close()

    async def wait(self) -> int:
        """Return its exit status when it has ended."""
        if self.ended is None:
            await _told_of_the_end(self.pid)
        await until(lambda: self.ended is not None)
        return self._popen.returncode

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens when it has ended."""
        self._popen.send_signal(number)

    async def stop(self, number: int | None = None) -> None:
        """Ask it to stop, by its own signal or this one; after its time, kill its family."""
        self.signal(self.part.stop_signal if number is None else number)
        # A stopped (SIGSTOP) process would never see the request.
        self.signal(signal.SIGCONT)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), self.part.stop_s)
        await self.kill()

    async def kill(self) -> None:
        """Kill it and everything that it started, and wait until all of it has ended."""
        family = kill_family(self.pid)
        self.release()
        await self.wait()
        await until(lambda: not any(identity.alive() for identity in family))


async def _told_of_the_end(pid: int) -> None:
    """Return when a child that was not collected yet has ended; at once where nobody tells.

    Source: pidfd_open(2), Linux 5.3.
    """
    if sys.platform != "linux":
        return
    try:
        handle = os.pidfd_open(pid)
    except OSError:  # an older kernel, or no handle is left
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    # Other processes and file locks tell nobody when they change.
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)


def every_process() -> dict[int, list[str]]:
    """Return what Linux tells of each process that there is now, as ``stat_fields`` does."""
    pids = (int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat"))
    return {pid: fields for pid in pids if (fields := stat_fields(pid))}


def family(pid: int, every: Mapping[int, list[str]]) -> list[int]:
    """Return a process, those that it started, and those that they started, one after another."""
    children: dict[int, list[int]] = {}
    for child, fields in every.items():
        children.setdefault(int(fields[1]), []).append(child)
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def descendants(pid: int) -> list[Identity]:
    """Return the processes that a process started, and those that they started."""
    _, *below = family(pid, every_process())
    return [identity for each in below if (identity := Identity.of(each))]


def kill_family(pid: int) -> list[Identity]:
    """Kill what a part started, and the part; return them, so that one can wait for their end."""
    started = descendants(pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    # PostgreSQL's processes leave the group: each makes a session of its own.
    for identity in started:
        if identity.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(identity.pid, signal.SIGKILL)
    return started


def _spawn(part: Part, log: Path, stdin: int) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    user = part.user
    ids = (str(user.uid), str(user.gid)) if user else ("-1", "-1")
    prefix = (str(os.getpid()), str(int(part.stop_signal)), *ids, str(int(part.idle)))
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the programs of our own list of parts
            [sys.executable, "-I", "-S", str(CHILD), *prefix, *part.argv],
            env=dict(part.env),
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def tail(log: Path, lines: int = TAIL) -> list[str]:
    """Return the last lines of a log."""
    try:
        with log.open(errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, lines)]
    except FileNotFoundError:
        return []


class Crashed(PipelineError):
    """A part ended by itself, or never became ready; says how, with the end of its log."""


async def run(step: Part, log: Path) -> None:
    """Run a step to its end.

    Raises:
        Crashed: It did not end with 0.
    """
    process = Process(step, log)
    try:
        status = await process.wait()
    except BaseException:
        await process.kill()
        raise
    if status:
        raise Crashed(crash_report(step.name, status, log))


def crash_report(name: str, status: int, log: Path) -> str:
    """Say in words that a part ended by itself, and what it said last."""
    if status < 0:
        how = f"was killed by {signal.Signals(-status).name}"
    else:
        how = f"ended with exit status {status}"
    lines = "".join(f"\n  | {line}" for line in tail(log))
    return f"{name} {how}; last lines of {log}:{lines or ' none'}"
