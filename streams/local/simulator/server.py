"""Runs the simulator as a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agents.ports import Clock
from streams.local.simulator.app import CUT, WEBHOOK_PATH, application
from streams.local.simulator.limits import MPS
from streams.local.simulator.redelivery import LONGEST_MS
from streams.local.simulator.script import Wish
from streams.local.simulator.state import Simulator
from streams.local.simulator.webhook import Webhook
from streams.server.listening import listen

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
        clock: Tells the time; a movable one can be moved by control.
        meta: Whether Meta's rules about rates, windows and templates are on at first.
        mps: Messages a second of a business number, when they are.
        wishes: What shall go wrong.
        longest_retry_s: Longest time between two deliveries of a body that was refused.
    """

    host: str
    port: int
    webhook_url: str
    app_id: str
    secret: bytes
    seed: int
    clock: Clock
    meta: bool = False
    mps: int = MPS
    wishes: tuple[Wish, ...] = ()
    longest_retry_s: float = LONGEST_MS / 1000

    @property
    def target(self) -> str:
        """Full URL of our webhook."""
        base = self.webhook_url.rstrip("/")
        return f"{base}{WEBHOOK_PATH}{self.app_id}" if base else ""


class Cuttable(HttpToolsProtocol):
    """Lets the application close the connection of a request without an answer."""

    def on_message_begin(self) -> None:
        """Give the request a way to end its connection."""
        super().on_message_begin()
        extensions: dict[str, Any] = {CUT: self.transport.abort}
        self.scope["extensions"] = extensions


async def serve(options: Options) -> None:
    """Serve until the process is told to stop.

    Raises:
        Misconfigured: The port is taken.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEPALIVE_S),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
    ) as client:
        clock = options.clock
        webhook = Webhook(client, options.target, options.secret)
        simulator = Simulator(webhook.post if options.target else None, clock, seed=options.seed)
        simulator.meta.on, simulator.meta.mps = options.meta, options.mps
        simulator.again.longest_ms = round(options.longest_retry_s * 1000)
        for wish in options.wishes:
            simulator.script.add(wish)
        listening = listen(options.host, options.port, "--port")
        config = uvicorn.Config(
            application(simulator),
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            http=Cuttable,
            loop="none",
        )
        await uvicorn.Server(config).serve(sockets=[listening])
