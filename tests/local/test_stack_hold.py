from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streams.local.stack.hold import (
    AlreadyUp,
    Entry,
    Ledger,
    clean,
    hold,
    holder,
    starting,
    take_down,
)
from streams.local.stack.part import Part
from streams.local.stack.probe import Probe
from streams.local.stack.process import Identity, Process, until
from streams.local.stack.report import health

WAIT = "import time\nwhile True: time.sleep(1)"
HOLD = f"""
import sys
from pathlib import Path
from streams.local.stack.hold import Ledger, hold
from streams.local.stack.part import Part
from streams.local.stack.process import Process
folder = Path(sys.argv[1])
with hold(folder / "run" / "up.lock"):
    part = Part(name="child", argv=(sys.executable, "-c", {WAIT!r}), env={{}})
    Ledger(folder / "run" / "processes.json").add(Process(part, folder / "child.log"))
    print("up", flush=True)
    {WAIT.replace(chr(10), chr(10) + "    ")}
"""


def supervisor_of(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours


def test_a_second_one_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    lock = tmp_path / "run" / "up.lock"
    refused = pytest.raises(AlreadyUp, match=rf"already up \(process {os.getpid()}\)")
    with hold(lock), refused, hold(lock):
        pass
    assert holder(lock) is None
    with hold(lock):
        assert holder(lock) == os.getpid()


def test_a_stack_is_starting_until_all_of_it_is_up(tmp_path: Path) -> None:
    lock = tmp_path / "run" / "up.lock"
    with hold(lock) as complete:
        assert starting(lock)
        complete()
        assert not starting(lock)
        assert holder(lock) == os.getpid()
    assert not starting(lock)


async def test_a_killed_supervisor_takes_its_parts_with_it(tmp_path: Path) -> None:
    with supervisor_of(tmp_path) as supervisor:
        assert supervisor.stdout
        assert supervisor.stdout.readline() == "up\n"
        lock = tmp_path / "run" / "up.lock"
        assert holder(lock) == supervisor.pid
        (entry,) = Ledger(tmp_path / "run" / "processes.json").read()
        assert entry.identity.alive()
        supervisor.kill()
    await asyncio.wait_for(until(lambda: not entry.identity.alive()), 20)
    assert holder(lock) is None


async def test_down_asks_the_holder_and_waits_for_its_end(tmp_path: Path) -> None:
    lock = tmp_path / "run" / "up.lock"
    assert not await take_down(lock)
    with supervisor_of(tmp_path) as supervisor:
        assert supervisor.stdout
        assert supervisor.stdout.readline() == "up\n"
        assert await take_down(lock)
    assert supervisor.returncode == -signal.SIGTERM


async def test_what_was_left_behind_is_ended(tmp_path: Path) -> None:
    deaf = f"import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True)\n{WAIT}"
    log = tmp_path / "child.log"
    process = Process(Part(name="child", argv=(sys.executable, "-c", deaf), env={}), log)
    await asyncio.wait_for(until(lambda: "deaf" in log.read_text()), 20)
    ledger = Ledger(tmp_path / "processes.json")
    ledger.add(process)
    ended = asyncio.create_task(process.wait())
    assert await clean(Ledger(tmp_path / "processes.json").read()) == ["child"]
    assert await ended == -signal.SIGKILL


async def test_a_pid_that_belongs_to_somebody_else_now_is_let_alone(tmp_path: Path) -> None:
    process = Process(
        Part(name="other", argv=(sys.executable, "-c", WAIT), env={}), tmp_path / "other.log"
    )
    stale = Entry("kafka", Identity(process.pid, "long ago"), "", None)
    try:
        assert await clean([stale]) == []
        assert process.ended is None
    finally:
        await process.kill()


@pytest.mark.parametrize(("serves", "state"), [(True, "not ready"), (False, "running")])
async def test_a_process_that_serves_nobody_is_never_asked(
    tmp_path: Path, serves: bool, state: str
) -> None:
    closed = Probe("http", "http://127.0.0.1:1/health")
    part = Part(name="training", argv=(sys.executable, "-c", WAIT), env={}, probe=closed)
    process = Process(part, tmp_path / "training.log")
    ledger = Ledger(tmp_path / "processes.json")
    try:
        ledger.add(process, serves=serves)
        rows = await health(Ledger(tmp_path / "processes.json").read())
    finally:
        await process.kill()

    assert [(entry.name, told) for entry, told in rows] == [("training", state)]


@pytest.mark.parametrize("text", ["", "[", "{}", "[{}]", json.dumps([{"name": "a"}]), "[1]"])
def test_a_damaged_ledger_is_empty(tmp_path: Path, text: str) -> None:
    file = tmp_path / "processes.json"
    file.write_text(text)
    assert Ledger(file).read() == []


async def test_a_part_hears_its_signal_though_who_started_it_ignores_it(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        part = Part(
            name="child", argv=("/bin/sleep", "60"), env={}, stop_signal=signal.SIGINT, stop_s=5
        )
        process = Process(part, tmp_path / "child.log")
    finally:
        signal.signal(signal.SIGINT, before)
    await until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")

    await process.stop()

    assert process.ended == -signal.SIGINT
