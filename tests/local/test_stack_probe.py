"""A part is asked in its own language; whoever else answers at its port is not it."""

from __future__ import annotations

import asyncio
import logging
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from streams.local.stack.hold import Ledger
from streams.local.stack.java import FIRST, Warmth
from streams.local.stack.part import Part
from streams.local.stack.ports import HOST
from streams.local.stack.probe import Kind, Probe
from streams.local.stack.warm import Training, train

ANSWERS = {
    "hangs up": b"",
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "another answer": struct.pack(">ii", 8, 7) + b"\0\0\0\0",
    "garbage": struct.pack(">ii", 12, 1) + b"\xff" * 8,
    "one endless line": b"x" * (1 << 20),
}


@asynccontextmanager
async def somebody(answer: bytes) -> AsyncIterator[int]:
    """Whoever has the port says this, and hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
@pytest.mark.parametrize("kind", ["kafka", "http", "redis"])
async def test_a_port_that_somebody_else_has_is_not_ready_and_nothing_is_written_of_it(
    kind: Kind, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with somebody(answer) as port:
        target = f"http://{HOST}:{port}/" if kind == "http" else str(port)

        assert not await Probe(kind, target).ready()

    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_nothing_is_recorded_at_a_port_that_somebody_has_taken_meanwhile(
    tmp_path: Path,
) -> None:
    ran = tmp_path / "ran"
    script = f"import pathlib; pathlib.Path({str(ran)!r}).touch()"
    # What java would be told first is no option of Python, and ends it before the script.
    program = tmp_path / "java"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{script}"\n')
    program.chmod(0o755)
    part = Part(name="recorded", argv=(str(program),), env={})
    warmth = Warmth(tmp_path / "aot" / "cache", FIRST)

    async def record(*ports: int) -> bool:
        training = Training(part, warmth, ports)
        ledger = Ledger(tmp_path / "processes.json")
        await train([training], tmp_path / "scratch", ledger, lambda *_: None)
        return ran.exists()

    async with somebody(b"") as port:
        assert not await record(port)
    assert await record()
