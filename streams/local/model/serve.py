"""Running the model's server."""

from __future__ import annotations

from collections.abc import Callable

import uvicorn

from schemas.errors import Misconfigured
from streams.local.model.llama import Llama, weights
from streams.local.model.server import ModelServer, Rules, Speaker
from streams.local.model.smollm import SmallModel
from streams.server.listening import listen

BACKLOG = 8192
"""Connections that may wait to be accepted: a burst of conversations arrives at once."""
GRACE_S = 3
"""Seconds for what is in flight when told to stop; a client tries again elsewhere."""


def serve(
    host: str, port: int, *, kind: str, latency_ms: int, seed: int, tell: Callable[[str], None]
) -> None:
    """Serve until the process is told to stop.

    Args:
        host: Address to listen on.
        port: Port; 0 is any free one.
        kind: ``offline``, or ``smollm2``.
        latency_ms: How long an answer takes.
        seed: Chooses among wordings.
        tell: Told the base URL once connections are accepted.

    Raises:
        Misconfigured: The kind is unknown, what it needs is not installed, or the port is taken.
    """
    server = ModelServer(speaker(kind, seed), latency_ms=latency_ms)
    config = uvicorn.Config(
        server.app(),
        log_level="warning",
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_S,
    )
    with listen(host, port, "--port", backlog=BACKLOG) as listening:
        bound_host, bound_port = listening.getsockname()[:2]
        tell(f"http://{bound_host}:{bound_port}/v1")
        uvicorn.Server(config).run(sockets=[listening])


def speaker(kind: str, seed: int) -> Speaker:
    """Return who answers.

    Raises:
        Misconfigured: The kind is unknown, or what it needs is not installed.
    """
    if kind == "offline":
        return Rules(seed)
    if kind == "smollm2":
        return SmallModel(Llama(weights()))
    raise Misconfigured(f"--model is `offline` or `smollm2`, not {kind!r}")
