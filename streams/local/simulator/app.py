"""The simulator as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agents.ports import Clock
from streams.local.simulator.book import Book, Entry, as_json, bubble_of
from streams.local.simulator.envelopes import received, wamid
from streams.local.simulator.postman import Postman
from streams.local.simulator.refusals import BAD_REQUEST, Refusal, invalid
from streams.local.simulator.rules import SHAPES, Attempt, Rule, digits, is_receipt, judge

LABEL: Final = {"x-simulator": "whaticket; this is not WhatsApp"}
WEBHOOK_PATH: Final = "/webhooks/whatsapp/"


def json(content: object, status: int = 200) -> Response:
    """Return a JSON answer that says who answers."""
    return Response(orjson.dumps(content), status, LABEL, "application/json")


class Simulator:
    """The state of one simulator: rules, book, statuses and the ids it gives.

    Args:
        postman: Posts to our webhook.
        clock: Tells the time.
        seed: Ids of messages follow from it.
        rules: Checks of a request to send, in order.
    """

    def __init__(
        self, postman: Postman, clock: Clock, *, seed: int, rules: Sequence[Rule] = SHAPES
    ) -> None:
        self.postman = postman
        self.clock = clock
        self.seed = seed
        self.rules = list(rules)
        self.book = Book()
        self.sent = 0
        self.customers = 0
        self.refused = 0
        self.receipts = 0

    def take(self, attempt: Attempt) -> tuple[int, dict[str, Any]]:
        """Accept or refuse one request; return HTTP status and body."""
        if refusal := judge(self.rules, attempt):
            self.refused += 1
            return refusal.status, refusal.body(f"sim{self.refused:08d}")
        if is_receipt(attempt.body):
            self.receipts += 1
            return 200, {"success": True}
        return 200, self._accept(attempt)

    def _accept(self, attempt: Attempt) -> dict[str, Any]:
        body = attempt.body
        self.sent += 1
        given = body["to"] if body.get("to") is not None else body["recipient"]
        to = digits(given) if body.get("to") is not None else given
        kind = body.get("type", "text")
        callback = body.get("biz_opaque_callback_data") or ""
        bubble_id, number = bubble_of(callback)
        entry = Entry(
            number=self.sent,
            phone_number_id=attempt.phone_number_id,
            to=to,
            wamid=wamid(self.seed, self.sent),
            type=kind,
            text=body["text"]["body"] if kind == "text" else "",
            callback_data=callback,
            bubble_id=bubble_id,
            attempt=number,
            at_ms=attempt.at_ms,
        )
        self.book.write(entry)
        self.postman.promise(entry)
        named = "wa_id" if body.get("to") is not None else "user_id"
        return {
            "messaging_product": "whatsapp",
            "contacts": [{"input": given, named: to}],
            "messages": [{"id": entry.wamid, "message_status": "accepted"}],
        }

    def customer(self, asked: dict[str, Any]) -> tuple[str, bytes]:
        """Return id and body of a customer's message, as Meta would post it."""
        self.customers += 1
        message = dict(asked.get("message") or {"type": "text", "text": {"body": asked["text"]}})
        message["from"] = asked["from"]
        message["id"] = str(
            asked.get("wamid") or message.get("id") or wamid(self.seed, self.customers, "in")
        )
        message.setdefault("timestamp", str(self.clock.now_ms() // 1000))
        body = received(
            asked["phone_number_id"],
            message,
            name=str(asked.get("name", "")),
            user_id=str(asked.get("user_id", "")),
        )
        return message["id"], orjson.dumps(body)

    def figures(self) -> dict[str, int]:
        """Return what was counted."""
        return {
            "accepted": self.book.total,
            "last": self.sent,
            "refused": self.refused,
            "receipts": self.receipts,
            "duplicates": sum(self.book.duplicates().values()),
            "webhooks_posted": self.postman.posted,
            "webhooks_retried": self.postman.retried,
            "statuses_waiting": self.postman.waiting,
            "statuses_dropped": self.postman.dropped,
        }


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
    if not isinstance(asked.get("message"), dict) and not isinstance(asked.get("text"), str):
        return invalid("text", "or message is required.")
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
        Route("/{version}/{phone_number_id}/messages", send, methods=["POST"]),
        Route("/_simulator/messages", recorded, methods=["GET"]),
        Route("/_simulator/messages", forget, methods=["DELETE"]),
        Route("/_simulator/messages", say, methods=["POST"]),
        Route("/health", health, methods=["GET"]),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.simulator = simulator
    return app
