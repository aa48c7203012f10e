"""Processes of a benchmark: started by it, asked line by line, ended by the end of their input.

A child is killed when its parent ends without having ended it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from typing import Final, Self

from schemas.errors import PipelineError
from streams.local.stack.process import CHILD

STOP_S: Final = 30.0


class Child:
    """One process, as its parent sees it."""

    def __init__(self, module: str, process: asyncio.subprocess.Process) -> None:
        self.module = module
        self.process = process

    @classmethod
    async def start(cls, env: Mapping[str, str], module: str, *arguments: str) -> Self:
        """Run a module that reads `orders`."""
        tied = (str(os.getpid()), str(int(signal.SIGKILL)), "-1", "-1", "0")
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-I",
                "-S",
                str(CHILD),
                *tied,
                sys.executable,
                "-m",
                module,
                *arguments,
            ),
            env=dict(env),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # an interrupt of the terminal is the parent's
        )
        return cls(module, process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def check(self) -> None:
        """Check that it still runs.

        Raises:
            PipelineError: It has ended.
        """
        if (status := self.process.returncode) is not None:
            raise PipelineError(f"{self.module} ended with {status}")

    async def said(self) -> bytes:
        """Return its next line.

        Raises:
            PipelineError: It ended instead.
        """
        line = await self.process.stdout.readline() if self.process.stdout else b""
        if not line:
            await self.process.wait()
            self.check()
        return line

    async def ask(self, order: bytes) -> bytes:
        """Write one line; return the line that answers.

        Raises:
            PipelineError: It ended instead.
        """
        if self.process.stdin:
            self.process.stdin.write(order + b"\n")
        return await self.said()

    async def stop(self) -> None:
        """Let it end in good order, and kill it when it does not."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


async def orders() -> asyncio.StreamReader:
    """Return this process's standard input, to be read line by line until its end."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


def say(line: bytes) -> None:
    """Write one line to the parent."""
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
