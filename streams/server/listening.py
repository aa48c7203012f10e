"""Sockets to listen on, or a message that a person can act on."""

from __future__ import annotations

import socket
from typing import Final

from schemas.errors import Misconfigured

BACKLOG: Final = 2048
"""Webhooks come in bursts; a connection that is refused is delivered again much later."""


def listen(host: str, port: int, setting: str, *, backlog: int = BACKLOG) -> socket.socket:
    """Return a socket that listens; port 0 is any free one.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        setting: Name of the port's setting, for the message.
        backlog: Connections that may wait to be accepted.

    Raises:
        Misconfigured: The port is taken, or the address is not this machine's.
    """
    try:
        return socket.create_server((host, port), backlog=backlog)
    except OSError as exc:
        raise Misconfigured(
            f"cannot listen on {host}:{port} ({exc.strerror or 'not possible'}):"
            f" set {setting} to a free port, or HTTP_HOST to an address of this machine"
        ) from None
