"""The people's API as an ASGI application: REST, the live feed, health and metrics."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from socketio import ASGIApp, AsyncServer
from starlette.exceptions import HTTPException

from schemas.errors import Misconfigured, Unavailable
from streams.api.routes import Desk, people_router
from streams.server.http import Checks, RequestMetrics, health_router

CODE: Final = re.compile(r"[a-z_]+")
FIELD_CHARS: Final = 128
PROBLEMS: Final = 20


def rest(desk: Desk, *, token: str, checks: Checks) -> FastAPI:
    """Return the REST part; see ``streams.api.routes``."""
    app = FastAPI(title="whaticket-streams", summary="What people ask of conversations.")
    app.include_router(health_router("api", checks))
    app.include_router(people_router(desk, token=token))
    app.add_exception_handler(Unavailable, _unavailable)
    app.add_exception_handler(Misconfigured, _misconfigured)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    return app


def with_feed(app: FastAPI, feed: AsyncServer) -> Any:
    """Return the whole ASGI application: the feed at ``/socket.io``, the rest below it."""
    return ASGIApp(feed, other_asgi_app=RequestMetrics(app))


async def _unavailable(_: Request, exc: Exception) -> JSONResponse:
    service = exc.service if isinstance(exc, Unavailable) else "unknown"
    wait = exc.retry_after_s if isinstance(exc, Unavailable) else None
    return JSONResponse(
        {"error": "unavailable", "service": service},
        503,
        {"Retry-After": str(round(wait or 2))},
    )


async def _misconfigured(_: Request, exc: Exception) -> JSONResponse:
    return JSONResponse({"error": "misconfigured", "message": str(exc)}, 500)


async def _refused(_: Request, exc: Exception) -> JSONResponse:
    if not isinstance(exc, HTTPException):
        raise exc
    # our own details are codes; the framework's are sentences
    code = exc.detail if CODE.fullmatch(exc.detail) else HTTPStatus(exc.status_code).phrase
    error = code.lower().replace(" ", "_")
    return JSONResponse({"error": error}, exc.status_code, exc.headers)


async def _invalid(_: Request, exc: Exception) -> JSONResponse:
    """Name what is wrong; never repeat what was sent, but for the name of a field."""
    errors = exc.errors() if isinstance(exc, RequestValidationError) else ()
    problems = [
        {"field": ".".join(map(str, error["loc"]))[:FIELD_CHARS], "problem": error["msg"]}
        for error in errors[:PROBLEMS]
    ]
    return JSONResponse({"error": "invalid_request", "problems": problems}, 422)
