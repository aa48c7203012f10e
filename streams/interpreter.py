"""How the interpreter of a process that serves is set."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from typing import Final

SWITCH_S: Final = 0.0005
"""At the default of 5 ms the encoder's thread may keep the event loop waiting that long, at every
turn."""
THRESHOLDS: Final = (200_000, 20, 20)
"""At the default of (700, 10, 10) the collector looks for cycles a hundred times a second and
finds none that matter: 15 % of the CPU time of a hop (`whaticket bench hop`); at 50,000, which
one fetch of records reaches, it still takes 4 %."""
MALLOPT: Final = {-1: 64 << 20, -3: 8 << 20}
"""``M_TRIM_THRESHOLD`` and ``M_MMAP_THRESHOLD`` of glibc (mallopt(3)), in bytes. By itself it
gives the memory of each larger request back to the kernel, which gives it again page by page,
zeroed: three page faults an event of a hop, 10 of 190 µs."""


def prepare() -> None:
    """Set it, once everything is imported: modules and code are never looked at again."""
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    _keep_memory()


def _keep_memory() -> None:
    """Keep up to 64 MiB that were freed for the next request; other C libraries do as they do."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, size in MALLOPT.items():
            mallopt(parameter, size)
