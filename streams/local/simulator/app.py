"""The simulator as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from streams.local.simulator.answering import answered
from streams.local.simulator.answers import LABEL, json
from streams.local.simulator.attachments import unattachable
from streams.local.simulator.bodies import values_of
from streams.local.simulator.book import as_json
from streams.local.simulator.control import ROUTES
from streams.local.simulator.files import ATTACHMENTS, delete, download, look_up, upload
from streams.local.simulator.refusals import BAD_REQUEST, Refusal, invalid
from streams.local.simulator.rules import Attempt
from streams.local.simulator.state import Simulator
from streams.local.simulator.webhook import OK

WEBHOOK_PATH: Final = "/webhooks/whatsapp/"


CUT: Final = "whaticket.cut"
"""Extension of the ASGI scope: closes the connection at once."""


class CutOff(ConnectionError):
    """A request is to get no answer, and the server cannot close its connection."""


async def send(request: Request) -> Response:
    """``POST /v25.0/{phone_number_id}/messages``."""
    simulator: Simulator = request.app.state.simulator
    attempt = Attempt(
        request.path_params["phone_number_id"],
        request.headers.get("authorization", ""),
        _plain(await request.body()),
        simulator.clock.now_ms(),
    )
    answer = await answered(simulator, attempt)
    if answer is None:
        return await _cut(request)
    if answer.content is None:
        page = "<html><body><h1>504 Gateway Time-out</h1></body></html>"
        return HTMLResponse(page, answer.status, {**LABEL, **answer.headers})
    response = json(answer.content, answer.status)
    response.headers.update(answer.headers)
    return response


async def _cut(request: Request) -> Response:
    """Close the connection; what is returned goes nowhere."""
    cut = request.scope.get("extensions", {}).get(CUT)
    if cut is None:
        raise CutOff
    cut()
    await asyncio.sleep(0)
    return Response()


def _plain(body: bytes) -> Any:
    """Return a JSON body as plain data; None of any other."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


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
        "reads": simulator.book.reads,
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
    asked = _plain(await request.body())
    if problem := unspeakable(asked):
        return _refused(problem)
    message_id, body = simulator.customer(asked)
    status = await simulator.mailroom.deliver(body)
    return json({"wamid": message_id, "webhook_status": status}, 200 if status == OK else 502)


async def relay(request: Request) -> Response:
    """``POST /_simulator/webhook``: customers write in Meta's own form.

    Answers what our webhook answered; with ``?keep=1`` a body that was refused is delivered
    again by Meta's schedule.
    """
    simulator: Simulator = request.app.state.simulator
    body = _plain(await request.body())
    if not isinstance(body, dict) or not any(values_of(body)):
        return _refused(invalid("body", "must be the body of a webhook."))
    keep = request.query_params.get("keep") == "1"
    status = await simulator.mailroom.deliver(body, keep=keep)
    return json({"webhook_status": status}, 200 if status == OK else 502)


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
    """Return the application; it posts for as long as its lifespan is open."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(simulator.run(), name="simulator")
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    routes = [
        Route(
            "/{version}/{phone_number_id}/messages", send, methods=["POST"]
        ),  # first: most requests are this
        Route("/_simulator/messages", recorded, methods=["GET"]),
        Route("/_simulator/messages", forget, methods=["DELETE"]),
        Route("/_simulator/messages", say, methods=["POST"]),
        Route("/_simulator/webhook", relay, methods=["POST"]),
        *ROUTES,
        Route("/health", health, methods=["GET"]),
        Route(ATTACHMENTS, download, methods=["GET"]),
        Route("/{version}/{phone_number_id}/media", upload, methods=["POST"]),
        Route("/{version}/{media_id}", look_up, methods=["GET"]),
        Route("/{version}/{media_id}", delete, methods=["DELETE"]),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.simulator = simulator
    return app
