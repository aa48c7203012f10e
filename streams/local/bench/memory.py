"""Memory of a process (Linux)."""

from __future__ import annotations

import os
from pathlib import Path


def resident_bytes(pid: int | None = None) -> int:
    """Return the resident memory of a process; None is this one."""
    told = Path(f"/proc/{'self' if pid is None else pid}/statm").read_text(encoding="ascii")
    return int(told.split()[1]) * os.sysconf("SC_PAGE_SIZE")
