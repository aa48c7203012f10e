"""CPU time of the parts of a stack (Linux)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Final

from streams.local.stack import Stack
from streams.local.stack.process import descendants, stat_fields

SENDER: Final = "load generator"
"""This process, beside the names of the parts."""


def spent_s(pid: int) -> float:
    """Return the CPU seconds of a process and of all that it started; 0 when it has ended."""
    family = [pid, *(child.pid for child in descendants(pid))]
    return sum(map(_ticks, family)) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    return sum(map(int, stat_fields(pid)[11:15]))  # own and waited-for children's, user and system


def spent_by_part_s(stack: Stack) -> Mapping[str, float]:
    """Return the CPU seconds of each part so far, and of this process."""
    parts = {name: spent_s(stack.pid(name)) for name in stack.names}
    return {**parts, SENDER: time.process_time()}
