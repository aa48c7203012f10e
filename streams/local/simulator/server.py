"""Runs the simulator as a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import aiohttp
import uvicorn

from streams.clock import WallClock
from streams.local.simulator.app import WEBHOOK_PATH, application
from streams.local.simulator.limits import MPS
from streams.local.simulator.postman import Postman
from streams.local.simulator.state import Simulator
from streams.local.simulator.webhook import Webhook

TIMEOUT_S: Final = 30.0
CONNECTIONS: Final = 64
"""Requests to our webhook at once: those of customers come beside the statuses."""

KEEPALIVE_S: Final = 4.0
"""Idle time after which we close a connection: before our webhook does (uvicorn: 5 s)."""


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
        meta: Whether Meta's rules about rates, windows and templates are on at first.
        mps: Messages a second of a business number, when they are.
    """

    host: str
    port: int
    webhook_url: str
    app_id: str
    secret: bytes
    seed: int
    meta: bool = False
    mps: int = MPS

    @property
    def target(self) -> str:
        """Full URL of our webhook."""
        base = self.webhook_url.rstrip("/")
        return f"{base}{WEBHOOK_PATH}{self.app_id}" if base else ""


async def serve(options: Options) -> None:
    """Serve until the process is told to stop."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEPALIVE_S),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
    ) as client:
        clock = WallClock()
        webhook = Webhook(client, options.target, options.secret)
        postman = Postman(webhook.post if options.target else None, clock)
        simulator = Simulator(postman, clock, seed=options.seed)
        simulator.meta.on, simulator.meta.mps = options.meta, options.mps
        config = uvicorn.Config(
            application(simulator),
            host=options.host,
            port=options.port,
            log_level="warning",
            access_log=False,
            http="httptools",
            loop="none",
        )
        await uvicorn.Server(config).serve()
