"""Free ports of this machine, kept between starts when they are still free."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from random import SystemRandom
from typing import Final

from schemas.errors import PipelineError

HOST: Final = "127.0.0.1"
RANGE: Final = range(20_000, 30_000)
"""Below the ports that Linux hands out to outgoing connections (32768 and up), so that
nothing takes a port between our choice and the part's start."""

_random = SystemRandom()


class NoFreePort(PipelineError):
    """No port is free on 127.0.0.1."""


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT is free, one that is listened on is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def choose(names: Iterable[str], wanted: Mapping[str, int]) -> dict[str, int]:
    """Give every name a free port of its own: the wanted one when it is free, else any.

    Raises:
        NoFreePort: A thousand random ports were all taken.
    """
    chosen: dict[str, int] = {}
    for name in names:
        port = wanted.get(name, 0)
        if not port or port in chosen.values() or not is_free(port):
            port = _any_free(set(chosen.values()) | set(wanted.values()))
        chosen[name] = port
    return chosen


def _any_free(taken: set[int]) -> int:
    for _ in range(1000):
        port = _random.choice(RANGE)
        if port not in taken and is_free(port):
            return port
    raise NoFreePort
