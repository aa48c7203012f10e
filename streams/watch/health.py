"""Health of a worker, for orchestrators and Prometheus: a small HTTP server and what it tells."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from streams.metrics import CONTENT_TYPE, DOWN, READY, exposition

log = structlog.get_logger(__name__)

READ_S: Final = 5.0
LINE_BYTES: Final = 8192
REASONS: Final = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Unavailable"}

Check = Callable[[], str | None]
"""Says why the worker is not ready, or None."""


class Dependencies:
    """Which services events are waiting for."""

    def __init__(self) -> None:
        self.waiting: dict[str, set[object]] = {}

    def down(self, service: str, waiter: object) -> None:
        """Note that an event waits for a service."""
        waiters = self.waiting.setdefault(service, set())
        if waiter not in waiters:
            waiters.add(waiter)
            DOWN.labels(service).inc()  # stages and each sink have one of these: the metric has all

    def up(self, waiter: object) -> None:
        """Note that an event no longer waits."""
        for service, waiters in self.waiting.items():
            if waiter in waiters:
                waiters.discard(waiter)
                DOWN.labels(service).dec()

    def why(self) -> str | None:
        """Return which services are down, or None."""
        down = sorted(service for service, waiters in self.waiting.items() if waiters)
        return f"waiting for {', '.join(down)}" if down else None


class Health:
    """What ``/health/ready`` tells: every check must be silent."""

    def __init__(self) -> None:
        self.checks: dict[str, Check] = {}

    def reasons(self) -> dict[str, str]:
        """Return why the worker is not ready; empty when it is."""
        found = {name: check() for name, check in self.checks.items()}
        reasons = {name: why for name, why in found.items() if why is not None}
        READY.set(not reasons)
        return reasons


class HealthServer:
    """Serves ``/health``, ``/health/live``, ``/health/ready`` and ``/metrics``.

    Attributes:
        port: Where it listens; set by ``start`` when 0 was asked.
    """

    def __init__(self, health: Health, host: str, port: int) -> None:
        self.health = health
        self.host = host
        self.port = port
        self.server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self.server = await asyncio.start_server(
            self._serve, self.host, self.port, limit=LINE_BYTES
        )
        self.port = self.server.sockets[0].getsockname()[1]
        log.info("health.listening", host=self.host, port=self.port)

    async def stop(self) -> None:
        """Listen no more."""
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(READ_S):
                line = await reader.readline()
                while (await reader.readline()).strip():
                    pass
            writer.write(self._answer(line))
            await writer.drain()
        except (OSError, TimeoutError, ValueError):  # a client that speaks no HTTP, or left
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _answer(self, line: bytes) -> bytes:
        words = line.decode("latin-1").split()
        method, path = (words[0], words[1].partition("?")[0]) if len(words) > 1 else ("", "")
        if method not in ("GET", "HEAD"):
            return _response(405, b"", {})
        status, body, headers = self._content(path)
        return _response(status, b"" if method == "HEAD" else body, headers)

    def _content(self, path: str) -> tuple[int, bytes, Mapping[str, str]]:
        as_json = {"content-type": "application/json"}
        match path:
            case "/metrics":
                self.health.reasons()
                return 200, exposition(), CONTENT_TYPE
            case "/health/live":
                return 200, b'{"status":"alive"}', as_json
            case "/health" | "/health/ready":
                reasons = self.health.reasons()
                status = 503 if reasons and path == "/health/ready" else 200
                told = {"status": "ready" if not reasons else "not_ready", "reasons": reasons}
                return status, json.dumps(told).encode(), as_json
            case _:
                return 404, b'{"status":"not_found"}', as_json


def _response(status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {REASONS[status]}",
        f"content-length: {len(body)}",
        "connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
