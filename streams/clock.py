"""Clocks: the machine's, and one that local runs may move.

A movable clock is a small file that every process of a local stack maps into memory, so all of
them see a move at once and to read it costs next to nothing. It is for development only: with
any WhatsApp but one on this machine it is refused.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Final

from agents.ports import Clock
from schemas.addresses import on_this_machine
from schemas.errors import Misconfigured
from streams.settings import Settings

FASTEST: Final = 60.0
"""Time limits of the pipeline (a claim is good for 5 s) pass as quickly as the clock goes."""

_FORM: Final = struct.Struct("<qqqd")
"""Count of changes (odd while one is being written), the machine's Unix milliseconds at the
newest change, this clock's at the same moment, and how quickly it goes since."""


def elapsed_s() -> float:
    """Seconds of a clock that never goes back and, where there is one, counts a machine's sleep.

    ``time.monotonic`` stands still while Linux is suspended, and others do not.
    Source: https://man7.org/linux/man-pages/man2/clock_gettime.2.html, CLOCK_BOOTTIME.
    """
    return time.clock_gettime(_COUNTS_SLEEP)


_COUNTS_SLEEP: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class WallClock:
    """The clock of the machine."""

    def now_ms(self) -> int:
        """Unix milliseconds, UTC."""
        return time.time_ns() // 1_000_000


class SkewedClock:
    """A clock that is wrong by a fixed time, as a machine without NTP has.

    Args:
        clock: The right one.
        skew_ms: Milliseconds that it is ahead; negative is behind.
    """

    def __init__(self, clock: Clock, skew_ms: int) -> None:
        self._clock = clock
        self._skew_ms = skew_ms

    def now_ms(self) -> int:
        """Unix milliseconds, UTC."""
        return self._clock.now_ms() + self._skew_ms


class MovableClock:
    """A clock that can be put forward and made to go faster, never back.

    Attributes:
        path: Its file; made if it is not there. One process moves it, all read it.
    """

    def __init__(self, path: Path, *, wall: Clock | None = None) -> None:
        self.path = path
        self._wall = wall or WallClock()
        _make(path, self._wall.now_ms())
        with path.open("r+b") as file:
            if os.fstat(file.fileno()).st_size != _FORM.size:
                raise Misconfigured(f"CLOCK_FILE: {path} is no clock; remove it")
            self._map = mmap.mmap(file.fileno(), _FORM.size)

    def now_ms(self) -> int:
        """Unix milliseconds, UTC, as this clock has it."""
        while True:
            count, wall_ms, own_ms, speed = _FORM.unpack_from(self._map)
            if count % 2 == 0 and _FORM.unpack_from(self._map)[0] == count:
                return int(own_ms + (self._wall.now_ms() - wall_ms) * speed)

    @property
    def ahead_ms(self) -> int:
        """How far it is ahead of the machine's."""
        return self.now_ms() - self._wall.now_ms()

    @property
    def speed(self) -> float:
        """How many of its seconds pass in one of the machine's."""
        speed: float = _FORM.unpack_from(self._map)[3]
        return speed

    def move(self, *, by_ms: int = 0, speed: float | None = None) -> None:
        """Put it forward, and let it go at a speed from now on.

        Raises:
            ValueError: It would go back, or faster than ``FASTEST``.
        """
        chosen = self.speed if speed is None else speed
        if by_ms < 0 or not 0 < chosen <= FASTEST:
            raise ValueError(f"a clock only goes forward, at most {FASTEST:.0f} times as fast")
        wall_ms, own_ms = self._wall.now_ms(), self.now_ms() + by_ms
        count = _FORM.unpack_from(self._map)[0] + 1
        struct.pack_into("<q", self._map, 0, count)
        struct.pack_into("<qqd", self._map, 8, wall_ms, own_ms, chosen)
        struct.pack_into("<q", self._map, 0, count + 1)

    def close(self) -> None:
        """Read it no more."""
        self._map.close()


def _make(path: Path, now_ms: int) -> None:
    """Make the file whole or not at all; of several processes the first one wins."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_bytes(_FORM.pack(0, now_ms, now_ms, 1.0))
    with contextlib.suppress(FileExistsError):
        os.link(partial, path)
    partial.unlink()


def open_clock(settings: Settings) -> Clock:
    """Return the clock of this process.

    Raises:
        Misconfigured: A clock that is not the machine's is asked for beside a WhatsApp that is
            not on this machine.
    """
    if not settings.clock_file and not settings.clock_skew_ms:
        return WallClock()
    if not on_this_machine(settings.whatsapp_api_url):
        raise Misconfigured(
            "CLOCK_FILE and CLOCK_SKEW_MS are for the simulator on this machine only: real"
            " customers would get wrong answers; unset them, or set WHATSAPP_API_URL"
        )
    path = Path(settings.clock_file)
    clock: Clock = MovableClock(path) if settings.clock_file else WallClock()
    return SkewedClock(clock, settings.clock_skew_ms) if settings.clock_skew_ms else clock
