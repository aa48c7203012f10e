"""Serving an application until the process is asked to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket
from typing import Any, Final

import uvicorn

from streams.server.heads import BoundedHeads

STOP_S: Final = 5
"""How long requests that are being answered may take when the process stops."""


class Server(uvicorn.Server):
    """Leaves the signals to us: an orderly stop ends with exit code 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def server_of(app: Any, *, websockets: bool = False) -> Server:
    """Return a server of the application; it takes a socket that listens already.

    Request lines hold tokens and challenges, so they are never logged (promise I7).
    """
    config = uvicorn.Config(
        app,
        http=BoundedHeads,
        ws="auto" if websockets else "none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",  # at "info" it writes the address of each web socket, with its token
        server_header=False,
        timeout_graceful_shutdown=STOP_S,
    )
    return Server(config)


async def until_asked(server: Server, listening: socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    await server.serve(sockets=[listening])
