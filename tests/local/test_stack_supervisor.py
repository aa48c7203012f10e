from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schemas.changing import replace
from schemas.errors import Misconfigured
from streams.local.stack import process
from streams.local.stack.hold import Ledger
from streams.local.stack.part import Part, start_order
from streams.local.stack.ports import choose
from streams.local.stack.probe import Probe
from streams.local.stack.process import Crashed, Identity, Process, crash_report, until
from streams.local.stack.supervisor import Supervisor

SERVE = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def serving(name: str, *needs: str, own: bool = False, spare: bool = False) -> Part:
    (port,) = choose([name], {}).values()
    return Part(
        name=name,
        argv=(sys.executable, "-c", SERVE, str(port)),
        env={},
        probe=Probe("http", f"http://127.0.0.1:{port}/"),
        needs=needs,
        own=own,
        spare=spare,
    )


HELD = f"""
import sys
print("loaded", flush=True)
sys.stdin.buffer.read()
{SERVE}
"""


def step(name: str, code: str, *needs: str) -> Part:
    return Part(name=name, argv=(sys.executable, "-c", code), env={}, needs=needs)


@asynccontextmanager
async def supervised(
    folder: Path, *parts: Part, restart: bool = False
) -> AsyncIterator[tuple[Supervisor, list[tuple[str, str]]]]:
    told: list[tuple[str, str]] = []
    supervisor = Supervisor(
        parts,
        logs=folder / "logs",
        ledger=Ledger(folder / "processes.json"),
        tell=lambda name, line: told.append((name, line)),
        restart=restart,
    )
    try:
        yield supervisor, told
    finally:
        await supervisor.stop_all()


async def test_a_part_starts_when_what_it_needs_is_ready_and_stops_before_it(
    tmp_path: Path,
) -> None:
    parts = (serving("api", "tables"), serving("store"), step("tables", "", "store", "elsewhere"))
    async with supervised(tmp_path, *parts) as (supervisor, told):
        await supervisor.start_all()
    assert [line for line in told if line[1] not in {"starting", "running"}] == [
        ("store", "ready"),
        ("tables", "done"),
        ("api", "ready"),
        ("api", "stopping"),
        ("store", "stopping"),
    ]


async def test_a_held_part_loads_before_what_it_needs_is_ready(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "api.log"
    seen = f"""
import pathlib, time
log = pathlib.Path({str(log)!r})
while not (log.exists() and "loaded" in log.read_text()): time.sleep(0.01)
raise SystemExit("listening" in log.read_text())
"""
    api = serving("api")
    held = replace(api, argv=(*api.argv[:2], HELD, api.argv[3]), held=True, needs=("tables",))
    async with supervised(tmp_path, held, step("tables", seen)) as (supervisor, _):
        await supervisor.start_all()
        await supervisor.kill("api")
        await supervisor.start("api")
    assert log.read_text().split() == ["loaded", "listening"] * 2


async def test_a_launched_part_has_its_own_settings_and_its_end_is_nobodys_business(
    tmp_path: Path,
) -> None:
    said = "import os; print(os.environ.get('POINT', 'none')); raise SystemExit(3)"
    api = serving("api")
    async with supervised(tmp_path, api) as (supervisor, _):
        await supervisor.start_all()
        await supervisor.kill("api")
        supervisor._parts["api"] = replace(api, argv=(sys.executable, "-c", said))
        supervisor.launch("api", {"POINT": "here"})
        await until(lambda: supervisor.ended("api") is not None)
        ended = supervisor.ended("api")
        crashed = supervisor.crashed.done()
    assert (ended, crashed) == (3, False)
    assert (tmp_path / "logs" / "api.log").read_text().split()[-1] == "here"


async def test_a_part_that_follows_another_does_not_even_load_before(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "api.log"
    first = step("first", f"import pathlib; raise SystemExit(pathlib.Path({str(log)!r}).exists())")
    api = serving("api")
    later = replace(api, argv=(*api.argv[:2], HELD, api.argv[3]), held=True, follows=("first",))
    async with supervised(tmp_path, later, first) as (supervisor, _):
        await supervisor.start_all()
    assert log.read_text().split() == ["loaded", "listening"]


async def test_no_process_is_left_after_a_stop(tmp_path: Path) -> None:
    async with supervised(tmp_path, serving("a"), serving("b")) as (supervisor, _):
        await supervisor.start_all()
        entries = Ledger(tmp_path / "processes.json").read()
        assert [entry.identity.alive() for entry in entries] == [True, True]
    assert [entry.identity.alive() for entry in entries] == [False, False]
    assert Ledger(tmp_path / "processes.json").read() == []


@pytest.mark.parametrize(
    "gone", [BrokenPipeError(), OSError(errno.EIO, "Input/output error"), SystemExit(1)]
)
async def test_everything_stops_when_nobody_reads_what_is_told(
    tmp_path: Path, gone: BaseException
) -> None:
    def tell(_: str, line: str) -> None:
        if line == "stopping":  # the terminal is closed, or the program behind the pipe has ended
            raise gone

    parts = (serving("store"), serving("api", "store"))
    ledger = Ledger(tmp_path / "processes.json")
    supervisor = Supervisor(parts, logs=tmp_path / "logs", ledger=ledger, tell=tell, restart=False)
    await supervisor.start_all()
    pids = [supervisor.pid(part.name) for part in parts]

    await supervisor.stop_all()

    assert [Identity.of(pid) for pid in pids] == [None, None]
    assert ledger.read() == []


async def test_a_killed_part_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    async with supervised(tmp_path, serving("store")) as (supervisor, _):
        await supervisor.start_all()
        os.kill(supervisor.pid("store"), signal.SIGKILL)
        report = str(await asyncio.wait_for(supervisor.crashed, 20))
    assert report.startswith("store was killed by SIGKILL; last lines of ")
    assert report.endswith("| listening")


async def test_a_part_killed_on_purpose_is_not_reported_and_starts_again(tmp_path: Path) -> None:
    async with supervised(tmp_path, serving("store")) as (supervisor, _):
        await supervisor.start_all()
        first = supervisor.pid("store")
        await supervisor.kill("store")
        await supervisor.start("store")
        assert supervisor.pid("store") != first
        assert not supervisor.crashed.done()


async def test_our_own_part_is_started_again_when_that_is_wanted(tmp_path: Path) -> None:
    async with supervised(tmp_path, serving("worker", own=True), restart=True) as (
        supervisor,
        told,
    ):
        await supervisor.start_all()
        first = supervisor.pid("worker")
        os.kill(first, signal.SIGKILL)
        await asyncio.wait_for(until(lambda: supervisor.pid("worker") != first), 20)
        assert told[-1][1].endswith("worker starts again")
        assert not supervisor.crashed.done()


async def test_a_part_whose_work_others_do_starts_again_and_the_stack_goes_on(
    tmp_path: Path,
) -> None:
    async with supervised(tmp_path, serving("broker", spare=True)) as (supervisor, told):
        await supervisor.start_all()
        first = supervisor.pid("broker")
        os.kill(first, signal.SIGKILL)
        await asyncio.wait_for(until(lambda: len(told) > 3), 20)
    lines = [line.splitlines() for _, line in told]
    assert lines[:2] == [["starting"], ["ready"]]
    assert lines[2][0].startswith("broker was killed by SIGKILL")
    assert lines[2][-1] == "broker starts again"
    assert lines[3] == ["ready"]
    assert not supervisor.crashed.done()


async def test_a_step_that_fails_stops_the_start_and_says_what_it_said(tmp_path: Path) -> None:
    parts = (serving("store"), step("tables", "raise SystemExit('no such table')", "store"))
    async with supervised(tmp_path, *parts) as (supervisor, _):
        with pytest.raises(Crashed, match="tables ended with exit status 1") as refused:
            await supervisor.start_all()
        entries = Ledger(tmp_path / "processes.json").read()
    assert "no such table" in str(refused.value)
    assert not any(entry.identity.alive() for entry in entries)


async def test_a_part_that_cannot_be_started_is_reported(tmp_path: Path) -> None:
    part = Part(name="store", argv=("/no/such/program",), env={})
    async with supervised(tmp_path, part) as (supervisor, _):
        with pytest.raises(Crashed, match="cannot start /no/such/program"):
            await supervisor.start_all()


async def test_a_part_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True)"
    loop = f"{code}\nwhile True: time.sleep(1)"
    deaf = Part(name="deaf", argv=(sys.executable, "-c", loop), env={}, stop_s=0.2)
    async with supervised(tmp_path, deaf) as (supervisor, _):
        starting = asyncio.create_task(supervisor.start("deaf"))
        log = tmp_path / "logs" / "deaf.log"
        await asyncio.wait_for(until(lambda: log.exists() and "deaf" in log.read_text()), 20)
        identity = Identity.of(supervisor.pid("deaf"))
        starting.cancel()
        await asyncio.wait([starting])
    assert identity
    assert not identity.alive()


async def test_a_part_that_gives_way_runs_behind_everything_else(tmp_path: Path) -> None:
    code = "import os; print(os.sched_getscheduler(0) == os.SCHED_IDLE, os.nice(0))"
    giving = replace(step("giving", code), idle=True)
    async with supervised(tmp_path, giving, step("taking", code)) as (supervisor, _):
        await supervisor.start_all()
    logs = [(tmp_path / "logs" / f"{name}.log").read_text() for name in ("giving", "taking")]
    assert logs == ["True 19\n", f"False {os.nice(0)}\n"]


NOT_TOLD = sys.platform != "linux"


@pytest.mark.skipif(NOT_TOLD, reason="only Linux tells of the end of a process")
async def test_the_end_of_a_part_is_told_and_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "POLL_S", 3600.0)
    ending = Process(step("ending", "import sys; sys.stdin.read()"), tmp_path / "log", held=True)
    waiting = [asyncio.create_task(ending.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    ending.release()
    async with asyncio.timeout(60):
        assert await asyncio.gather(*waiting) == [0, 0]


@pytest.mark.skipif(NOT_TOLD, reason="elsewhere it is always looked for")
async def test_where_nobody_tells_of_an_end_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_pid: int) -> int:
        raise OSError

    monkeypatch.setattr(os, "pidfd_open", refused)
    ending = Process(step("ending", "raise SystemExit(3)"), tmp_path / "log")
    async with asyncio.timeout(60):
        assert await ending.wait() == 3


def test_parts_start_in_waves() -> None:
    parts = [
        step("api", "", "seed"),
        step("seed", "", "topics", "store"),
        step("topics", "", "kafka"),
        step("kafka", ""),
        step("store", ""),
    ]
    assert start_order(parts) == [["kafka", "store"], ["topics"], ["seed"], ["api"]]


def test_parts_that_wait_for_each_other_are_refused() -> None:
    with pytest.raises(Misconfigured, match="a, b"):
        start_order([step("a", "", "b"), step("b", "", "a")])


def test_two_parts_of_one_name_are_refused() -> None:
    with pytest.raises(Misconfigured, match="same name"):
        start_order([step("a", ""), step("a", "")])


def test_a_crash_report_shows_only_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    lines = crash_report("kafka", 3, log).splitlines()
    assert lines[0] == f"kafka ended with exit status 3; last lines of {log}:"
    assert lines[1:] == [f"  | line {number}" for number in range(88, 100)]


def test_a_crash_without_a_log_is_reported(tmp_path: Path) -> None:
    assert crash_report("kafka", -9, tmp_path / "none.log").endswith("none.log: none")
