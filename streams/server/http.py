"""What our HTTP servers share: request metrics and the health endpoints."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.metrics import CONTENT_TYPE, HTTP_REQUESTS, HTTP_SECONDS, HTTP_SERVICE, exposition

UNMATCHED: Final = "unmatched"
"""Label of every path that is none of ours: strangers choose paths, not our labels."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Checks = Callable[[], Awaitable[Mapping[str, bool]]]
"""Asks each dependency whether it answers; True is yes."""


class RequestMetrics:
    """ASGI middleware: counts and times requests by their route, never by their path."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, then count it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            await self.app(scope, receive, watch)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "other"
            path = _template(scope)
            HTTP_REQUESTS.labels(method, path, str(status)).inc()
            HTTP_SECONDS.labels(method, path).observe(time.perf_counter() - began)


def _template(scope: Scope) -> str:
    """Return the path of the route that took the request, with its parameters' names."""
    route: Any = scope.get("route")
    return getattr(route, "path", UNMATCHED)


async def nothing_to_check() -> Mapping[str, bool]:
    """The checks of a process that depends on nothing."""
    return {}


def health_router(service: str, checks: Checks = nothing_to_check) -> APIRouter:
    """Return ``/health``, ``/health/live``, ``/health/ready`` and ``/metrics`` of a service.

    Live is this process; ready is that every check is true, else 503. ``/health`` tells the
    same as ready, for people and for probes that know only one address.
    """
    router = APIRouter()
    HTTP_SERVICE.labels(service).set(1)

    async def ready() -> JSONResponse:
        found = dict(await checks())
        up = all(found.values())
        return JSONResponse(
            {"status": "ready" if up else "unavailable", "checks": found},
            status_code=200 if up else 503,
        )

    async def live() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    async def metrics() -> Response:
        return Response(exposition(), headers=dict(CONTENT_TYPE))

    router.add_api_route("/health", ready, include_in_schema=False)
    router.add_api_route("/health/ready", ready, include_in_schema=False)
    router.add_api_route("/health/live", live, include_in_schema=False)
    router.add_api_route("/metrics", metrics, include_in_schema=False)
    return router
