"""The simulator as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streams.local.simulator.answers import json
from streams.local.simulator.attachments import unattachable
from streams.local.simulator.book import as_json
from streams.local.simulator.control import ROUTES
from streams.local.simulator.files import ATTACHMENTS, delete, download, look_up, upload
from streams.local.simulator.refusals import BAD_REQUEST, Refusal, invalid
from streams.local.simulator.rules import Attempt
from streams.local.simulator.state import Simulator

WEBHOOK_PATH: Final = "/webhooks/whatsapp/"


async def send(request: Request) -> Response:
    """``POST /v25.0/{phone_number_id}/messages``."""
    simulator: Simulator = request.app.state.simulator
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        body = None
    attempt = Attempt(
        request.path_params["phone_number_id"],
        request.headers.get("authorization", ""),
        body,
        simulator.clock.now_ms(),
    )
    status, answer = simulator.take(attempt)
    return json(answer, status)


async def recorded(request: Request) -> Response:
    """``GET /_simulator/messages``: what was accepted, in order."""
    simulator: Simulator = request.app.state.simulator
    query = request.query_params
    after = query.get("after", "0")
    if not after.isdigit():
        return _refused(invalid("after", "must be a number."))
    entries = simulator.book.select(
        phone_number_id=query.get("phone_number_id", ""), to=query.get("to", ""), after=int(after)
    )
    answer = {
        "simulator": True,
        **simulator.figures(),
        "refusals": simulator.refusals,
        "duplicates_by_bubble": simulator.book.duplicates(),
        "messages": [as_json(entry) for entry in entries],
    }
    return json(answer)


async def forget(request: Request) -> Response:
    """``DELETE /_simulator/messages``: forget what was accepted."""
    simulator: Simulator = request.app.state.simulator
    simulator.book.clear()
    return json({"success": True})


async def say(request: Request) -> Response:
    """``POST /_simulator/messages``: a customer writes; answers what our webhook answered."""
    simulator: Simulator = request.app.state.simulator
    try:
        asked = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        asked = None
    if problem := unspeakable(asked):
        return _refused(problem)
    message_id, body = simulator.customer(asked)
    status = await simulator.postman.post(body)
    return json({"wamid": message_id, "webhook_status": status}, 200 if status == 200 else 502)  # noqa: PLR2004 - HTTP


def unspeakable(asked: object) -> Refusal | None:
    """Say what a request to make a customer write lacks."""
    if not isinstance(asked, dict):
        return invalid("body", "must be a JSON object.")
    for name in ("phone_number_id", "from"):
        if not isinstance(asked.get(name), str) or not asked[name]:
            return invalid(name, "is required.")
    if "media" in asked:
        return unattachable(asked["media"])
    if not isinstance(asked.get("message"), dict) and not isinstance(asked.get("text"), str):
        return invalid("text", ", media or message is required.")
    return None


async def health(request: Request) -> Response:
    """``GET /health``: it is up, and it is the simulator."""
    simulator: Simulator = request.app.state.simulator
    return json({"status": "ok", "simulator": True, "seed": simulator.seed, **simulator.figures()})


def _refused(refusal: Refusal) -> Response:
    return json(refusal.body("sim"), BAD_REQUEST)


def application(simulator: Simulator) -> Starlette:
    """Return the application; it posts statuses for as long as its lifespan is open."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(simulator.postman.run(), name="postman")
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    routes = [
        Route("/_simulator/messages", recorded, methods=["GET"]),
        Route("/_simulator/messages", forget, methods=["DELETE"]),
        Route("/_simulator/messages", say, methods=["POST"]),
        *ROUTES,
        Route("/health", health, methods=["GET"]),
        Route(ATTACHMENTS, download, methods=["GET"]),
        Route("/{version}/{phone_number_id}/messages", send, methods=["POST"]),
        Route("/{version}/{phone_number_id}/media", upload, methods=["POST"]),
        Route("/{version}/{media_id}", look_up, methods=["GET"]),
        Route("/{version}/{media_id}", delete, methods=["DELETE"]),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.simulator = simulator
    return app
