"""Make later starts quicker: record how the Java parts start, once, in the background.

A second broker and a second registry start beside the stack, on ports and data of their own;
what the JVM learnt is kept for all stacks of this user. They run only while nothing else wants
to, so a load that comes meanwhile does not notice them; they may wait for it until the stack
stops, and begin again at the next start.
"""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.changing import replace
from schemas.errors import PipelineError
from streams.local.stack.hold import Ledger
from streams.local.stack.java import Warmth
from streams.local.stack.part import Part
from streams.local.stack.ports import is_free
from streams.local.stack.process import Crashed, Process
from streams.local.stack.supervisor import PROBE_EVERY_S, Tell

PATIENCE_S: Final = 1800.0
"""Longest time for one of them; a machine may be busy for long."""


@dataclass(frozen=True, slots=True)
class Training:
    """One program to record.

    Attributes:
        part: A copy of the part that disturbs nobody.
        warmth: The cache to make.
        ports: Where it listens.
    """

    part: Part
    warmth: Warmth
    ports: tuple[int, ...] = ()


async def train(trainings: list[Training], scratch: Path, ledger: Ledger, tell: Tell) -> None:
    """Make the caches that are missing; what goes wrong costs the next start some seconds."""
    for training in trainings:
        if not training.warmth.wanted:
            continue
        with _alone(training.warmth.file.parent) as alone:
            if alone:
                shutil.rmtree(scratch, ignore_errors=True)
                with suppress(PipelineError, OSError):
                    await _record(training, scratch, ledger, tell)
    await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)


async def _record(training: Training, scratch: Path, ledger: Ledger, tell: Tell) -> None:
    file = training.warmth.file
    with _folder(file.parent) as folder:
        fresh = folder / file.name
        java, *arguments = training.part.argv
        part = replace(
            training.part,
            name=f"training {training.part.name}",
            argv=(java, f"-XX:AOTCacheOutput={fresh}", *arguments),
            idle=True,
            stop_s=PATIENCE_S,
        )
        if part.prepare:
            await part.prepare(lambda _: None)
        if not all(map(is_free, training.ports)):  # chosen when the stack began to start
            raise Crashed(part.name)
        process = Process(part, scratch / f"{part.name}.log")
        ledger.add(process, serves=False)
        try:
            await _until_ready(process)
            # The JVM writes the cache when it ends.
            await process.stop()
        finally:
            await asyncio.shield(process.kill())
        if fresh.is_file():
            fresh.replace(file)
            tell(part.name, "next start will be quicker")


async def _until_ready(process: Process) -> None:
    probe = process.part.probe
    async with asyncio.timeout(PATIENCE_S):
        while probe is None or not await probe.ready():
            if process.ended is not None:
                raise Crashed(process.part.name)
            await asyncio.sleep(PROBE_EVERY_S)


@contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=".part-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Tell whether no other stack of this user is at it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
