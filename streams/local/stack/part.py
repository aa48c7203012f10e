"""A part of the stack: a process, what it waits for, and how to tell that it is ready."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from schemas.errors import Misconfigured
from streams.local.stack.artifacts import Told
from streams.local.stack.probe import Probe

READY_S: Final = 90.0
STOP_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class User:
    """Another user that a part runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process of the stack.

    Attributes:
        name: Its name in logs, messages and commands.
        argv: Program (absolute path) and arguments; never a secret.
        env: Its whole environment.
        address: Where people reach it, without secrets.
        probe: How to tell that it is ready; None for a step that runs once and ends with 0.
        needs: Parts that must be ready before it starts; names not in the stack are ignored.
        held: True when it is started before what it needs is ready: it loads, and goes on at the
            end of its standard input.
        follows: Parts that must be ready before it is even loaded: it would only slow them down.
        prepare: Awaited before it starts, without waiting for what it needs.
        settle: Awaited once when it is ready, before others see it ready.
        own: True for our own processes: they may be restarted after a crash.
        spare: True when others do its work while it is away: its end is not the stack's, and it
            is started again.
        stop_signal: What asks it to stop.
        user: Another user to run as.
        idle: True when it may run only while nothing else on this machine wants to.
        ready_s: Longest wait for the probe.
        stop_s: Longest wait for its end, before it is killed.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    address: str = ""
    probe: Probe | None = None
    needs: tuple[str, ...] = ()
    held: bool = False
    follows: tuple[str, ...] = ()
    prepare: Callable[[Told], Awaitable[None]] | None = None
    settle: Callable[[], Awaitable[None]] | None = None
    own: bool = False
    spare: bool = False
    stop_signal: int = field(default=signal.SIGTERM)
    user: User | None = None
    idle: bool = False
    ready_s: float = READY_S
    stop_s: float = STOP_S

    @property
    def once(self) -> bool:
        """Whether it is a step that ends by itself."""
        return self.probe is None


def start_order(parts: Iterable[Part]) -> list[list[str]]:
    """Return the names in waves: each wave needs only parts of the waves before it.

    Raises:
        Misconfigured: Two parts have one name, or parts wait for each other.
    """
    listed = list(parts)
    waiting = {part.name: {*part.needs, *part.follows} for part in listed}
    if len(waiting) != len(listed):
        raise Misconfigured("two parts of the stack have the same name")
    for needs in waiting.values():
        needs.intersection_update(waiting)
    waves: list[list[str]] = []
    while waiting:
        wave = sorted(name for name, needs in waiting.items() if not needs)
        if not wave:
            raise Misconfigured(f"parts wait for each other: {', '.join(sorted(waiting))}")
        waves.append(wave)
        for name in wave:
            del waiting[name]
        for needs in waiting.values():
            needs.difference_update(wave)
    return waves
