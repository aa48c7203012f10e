"""Who runs the stack of a folder: one at a time, and nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from schemas.errors import PipelineError
from streams.local.stack.part import Part
from streams.local.stack.probe import Probe
from streams.local.stack.process import Identity, Process, kill_family, until

DOWN_S: Final = 60.0
LEFTOVER_S: Final = 8.0
COMPLETE: Final = " complete"
"""Stands behind the process in the lock's file once all parts are up."""


class AlreadyUp(PipelineError):
    """The stack of this folder is running."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A process that a stack started, as written down."""

    name: str
    identity: Identity
    address: str
    probe: Probe | None


class Ledger:
    """The processes of a folder, on disk, so that the next start or stop finds leftovers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, Entry] = {}

    def add(self, process: Process, *, serves: bool = True) -> None:
        """Write down a process that was started; one that serves nobody is never asked."""
        part: Part = process.part
        probe = part.probe if serves else None
        self._entries[part.name] = Entry(part.name, process.identity, part.address, probe)
        self._write()

    def clear(self) -> None:
        """Forget all: they have ended."""
        self._entries.clear()
        self._path.unlink(missing_ok=True)

    def read(self) -> list[Entry]:
        """Return what the newest stack of this folder wrote down."""
        try:
            rows = json.loads(self._path.read_text())
            return [_entry(row) for row in rows]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return []

    def _write(self) -> None:
        partial = self._path.with_suffix(".part")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps([asdict(entry) for entry in self._entries.values()]))
        partial.replace(self._path)


def _entry(row: dict[str, object]) -> Entry:
    identity, probe = row["identity"], row["probe"]
    if not isinstance(identity, dict):
        raise TypeError
    made = Probe(**probe) if isinstance(probe, dict) else None
    return Entry(str(row["name"]), Identity(**identity), str(row["address"]), made)


@contextmanager
def hold(path: Path) -> Iterator[Callable[[], None]]:
    """Be the one that runs the stack of a folder; what is lent is called once all of it is up.

    The kernel gives the lock back when its process ends, in whatever way.

    Raises:
        AlreadyUp: Another process is; says which.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = holder(path)
            raise AlreadyUp(
                f"the stack in {path.parent.parent} is already up (process {pid});"
                " `whaticket status` shows it, `whaticket down` stops it"
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()

        def complete() -> None:
            handle.write(COMPLETE)
            handle.flush()

        yield complete
        handle.truncate(0)


def holder(path: Path) -> int | None:
    """Return the process that runs the stack of a folder; None when none does."""
    try:
        with path.open("r+") as handle:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return None
            return int(handle.read().removesuffix(COMPLETE) or 0)
    except FileNotFoundError:
        return None


def starting(path: Path) -> bool:
    """Tell whether a process runs the stack of a folder whose parts are not all up yet."""
    return bool(holder(path)) and not path.read_text().endswith(COMPLETE)


async def take_down(path: Path) -> bool:
    """Ask the holder to stop and wait for it; return whether there was one.

    Raises:
        AlreadyUp: It is still there after a minute.
    """
    pid = holder(path)
    if not pid:
        return False
    os.kill(pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(DOWN_S):
            await until(lambda: holder(path) != pid)
    except TimeoutError:
        raise AlreadyUp(f"process {pid} did not stop the stack within {DOWN_S:.0f} s") from None
    return True


async def clean(entries: list[Entry]) -> list[str]:
    """End processes that a stack left behind; return their names."""
    left = [entry for entry in entries if entry.identity.alive()]
    for entry in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(entry.identity.pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LEFTOVER_S):
            await until(lambda: not any(entry.identity.alive() for entry in left))
    stubborn = [entry.identity for entry in left if entry.identity.alive()]
    for identity in list(stubborn):
        stubborn += kill_family(identity.pid)
    await until(lambda: not any(identity.alive() for identity in stubborn))
    return [entry.name for entry in left]
