from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from streams.local.bench import cpu
from streams.local.bench.cpu import spent_s

BUSY_S = 0.3
BUSY = f"import time\nwhile time.process_time() < {BUSY_S}: pass\n"
BELOW = f"""
import subprocess, sys
busy = {BUSY!r}
ended = subprocess.run([sys.executable, "-c", busy], check=True)
running = subprocess.Popen([sys.executable, "-c", busy + "print(flush=True)\\ninput()"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
running.stdout.readline()
print(flush=True)
input()
running.communicate(b"\\n")
"""


@pytest.fixture
def idle() -> Iterator[int]:
    """A process that has done next to nothing itself: two that it started did, one has ended."""
    with subprocess.Popen(  # noqa: S603 - the command is fixed
        [sys.executable, "-c", BELOW], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate(b"\n")


def test_what_a_process_started_counts_whether_it_has_ended_or_not(idle: int) -> None:
    (spent,) = spent_s([idle])

    assert spent > 1.5 * BUSY_S  # it counts in ticks: both of them, not quite twice


def test_a_process_that_has_ended_takes_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()

    assert spent_s([process.pid]) == [0]


def test_several_processes_are_told_of_in_their_order(idle: int) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()

    none, spent = spent_s([ended.pid, idle])

    assert none == 0
    assert spent > 0


def test_the_processes_are_looked_at_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: Iterator[dict[int, list[str]]] = iter([{}])
    monkeypatch.setattr(cpu, "every_process", lambda: next(looks))

    assert spent_s([1, 2, 3]) == [0, 0, 0]
