"""CPU time of the parts of a stack (Linux)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Final

from streams.local.stack import Stack
from streams.local.stack.process import every_process, family

SENDER: Final = "load generator"
"""This process, beside the names of the parts."""


def spent_s(pids: Iterable[int]) -> list[float]:
    """Return the CPU seconds of each process and of all that it started; 0 when it has ended."""
    every = every_process()
    ticks = {pid: _ticks(fields) for pid, fields in every.items()}
    second = os.sysconf("SC_CLK_TCK")
    return [sum(ticks.get(each, 0) for each in family(pid, every)) / second for pid in pids]


def _ticks(fields: list[str]) -> int:
    return sum(map(int, fields[11:15]))  # own and waited-for children's, user and system


def spent_by_part_s(stack: Stack) -> Mapping[str, float]:
    """Return the CPU seconds of each part so far, and of this process."""
    parts = zip(stack.names, spent_s(map(stack.pid, stack.names)), strict=True)
    return {**dict(parts), SENDER: time.process_time()}
