"""How the interpreter of a process that serves is set."""

from __future__ import annotations

import gc
import sys
from typing import Final

SWITCH_S: Final = 0.0005
"""At the default of 5 ms the encoder's thread may keep the event loop waiting that long, at every
turn."""
THRESHOLDS: Final = (50_000, 20, 20)
"""At the default of (700, 10, 10) the collector looks for cycles a hundred times a second and
finds none that matter: 15 % of the CPU time of a hop (`whaticket bench hop`)."""


def prepare() -> None:
    """Set it, once everything is imported: modules and code are never looked at again."""
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
