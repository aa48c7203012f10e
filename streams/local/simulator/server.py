"""Runs the simulator as a server."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
import uvicorn

from streams.clock import WallClock
from streams.local.simulator.app import WEBHOOK_PATH, application
from streams.local.simulator.postman import LANES, Postman
from streams.local.simulator.state import Simulator

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one simulator is run.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        webhook_url: Base URL of our webhook; empty posts nothing.
        app_id: Meta app in the path of our webhook.
        secret: App secret that signs.
        seed: Ids of messages follow from it.
    """

    host: str
    port: int
    webhook_url: str
    app_id: str
    secret: bytes
    seed: int

    @property
    def target(self) -> str:
        """Full URL of our webhook."""
        base = self.webhook_url.rstrip("/")
        return f"{base}{WEBHOOK_PATH}{self.app_id}" if base else ""


async def serve(options: Options) -> None:
    """Serve until the process is told to stop."""
    limits = httpx.Limits(max_connections=LANES * 2, max_keepalive_connections=LANES * 2)
    async with httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits) as client:
        clock = WallClock()
        postman = Postman(client, options.target, options.secret, clock)
        app = application(Simulator(postman, clock, seed=options.seed))
        config = uvicorn.Config(
            app,
            host=options.host,
            port=options.port,
            log_level="warning",
            access_log=False,
            http="httptools",
            loop="none",
        )
        await uvicorn.Server(config).serve()
