"""Become another program, tied to the process that asked: run by path, without our packages.

``python -I -S child.py <parent pid> <signal> <uid> <gid> <idle> <program> [argument…]``

It stands between the supervisor and a part because four things must happen in the new
process, before the program: give up root, ask the kernel for a signal when the supervisor
dies, hear that signal, and run only when nothing else wants to. Doing them after ``fork`` in a
process with threads may hang.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_KEEPCAPS: Final = 8
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_RAISE: Final = 2
CAP_DAC_OVERRIDE: Final = 1
CAPABILITY_VERSION_3: Final = 0x20080522
SIG_DFL: Final = 0


def drop_root(uid: int, gid: int) -> None:
    """Become the user; keep the right to pass folders that only root may enter.

    PostgreSQL refuses to run as root, but a project in /root is no fault: its folders
    are entered with one capability, where the kernel and the container allow it.
    Source: https://man7.org/linux/man-pages/man7/capabilities.7.html
    """
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if libc is not None:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if libc is not None:
        bit = 1 << CAP_DAC_OVERRIDE
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
        if libc.capset(header, data) == 0:
            libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def die_with(parent: int, signal_number: int) -> None:
    """Ask for the signal when the parent dies; leave at once if it is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def hear(signal_number: int) -> None:
    """Let the signal end the program until it has a handler of its own.

    What a shell runs in the background ignores SIGINT, and so do its children.
    """
    ctypes.CDLL(None).signal(signal_number, SIG_DFL)  # Python's module loads enum


def give_way() -> None:
    """Run only while nothing else on this machine wants to.

    A niceness alone is not enough: Linux shares processors between sessions first
    (autogroups), and a process that is only nice still gets its turns.
    Source: https://man7.org/linux/man-pages/man7/sched.7.html
    """
    import contextlib  # noqa: PLC0415 - every part waits for what this file imports
    from pathlib import Path  # noqa: PLC0415 - ditto

    os.nice(19)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text("19")
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def main(arguments: list[str]) -> None:
    """Prepare this process, then become the program."""
    parent, signal_number, uid, gid, idle = map(int, arguments[:5])
    program = arguments[5:]
    if uid >= 0:
        drop_root(uid, gid)
    if idle:
        give_way()
    hear(signal_number)
    die_with(parent, signal_number)
    try:
        os.execv(program[0], program)  # noqa: S606 - no shell is the point
    except OSError as exc:
        sys.exit(f"cannot start {program[0]}: {exc.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
