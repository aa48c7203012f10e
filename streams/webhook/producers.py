"""``/webhooks/events/{producer}``: what other systems push, signed by Standard Webhooks."""

from __future__ import annotations

import re
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter, ValidationError

from agents.ports import Clock
from schemas.errors import Rejected
from sinks.identity import Ask
from sinks.producers import Producer
from streams.webhook.bodies import Bodies
from streams.webhook.document import PUSH, PUSHED
from streams.webhook.inbox import Inbox
from streams.webhook.ports import Numbers, Senders
from streams.webhook.pushes import Push, customer, event_of
from streams.webhook.signatures import standard_signed
from streams.whatsapp import Unreadable, identifiers
from streams.whatsapp.body import loads
from streams.whatsapp.events import Belonging

PATH: Final = "/webhooks/events/{producer}"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)

_WEBHOOK_ID: Final = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)
_PUSH: Final[TypeAdapter[Push]] = TypeAdapter(Push)


class Doorway:
    """Takes pushes: checks who speaks, finds the conversation, puts the event on the log."""

    def __init__(self, inbox: Inbox, senders: Senders, numbers: Numbers, clock: Clock) -> None:
        self._inbox = inbox
        self._senders = senders
        self._numbers = numbers
        self._clock = clock

    async def known(self, name: str) -> Producer | None:
        """Return the producer of that name, or None."""
        return await self._senders.get(name) if NAME.fullmatch(name) else None

    async def accept(self, name: str, sender: Producer, webhook_id: str, body: bytes) -> Response:
        """Put a signed push on the log and answer with its event's id."""
        try:
            push = _PUSH.validate_python(loads(body))
        except Unreadable as exc:
            return _refusal(400, exc.reason)
        except ValidationError as exc:
            return _refusal(422, "bad_payload", _faults(exc))
        owner = self._numbers.by_phone_number(push.data.phone_number_id)
        if owner is None or owner[0].tenant_id != sender.tenant_id:
            return _refusal(422, "unknown_channel")
        names = identifiers(customer(push))
        if not names:
            return _refusal(422, "no_person")
        number = push.data.phone_number_id
        where = await self._inbox.place_of(Ask(sender.tenant_id, number, names))
        at = Belonging(
            tenant_id=sender.tenant_id,
            phone_number_id=number,
            conversation_id=where.conversation_id,
            customer_id=where.customer_id,
            now_ms=self._clock.now_ms(),
        )
        event = event_of(push, at, producer=name, webhook_id=webhook_id)
        try:
            await self._inbox.publish(event)
        except Rejected as exc:
            return _refusal(422, exc.reason)
        return JSONResponse({"event_id": event.event_id})


def producers_router(doorway: Doorway, bodies: Bodies) -> APIRouter:
    """Return the endpoint of other systems."""
    router = APIRouter(tags=["producers"])

    async def receive(request: Request) -> Response:
        """Take one event; a ``webhook-id`` that is repeated changes nothing."""
        producer = request.path_params["producer"]
        sender = await doorway.known(producer)
        if sender is None:
            return Response(status_code=404)
        webhook_id = request.headers.get("webhook-id", "")
        async with bodies.body(request) as body:
            signed = standard_signed(sender.secrets, body, request.headers)
            if not signed or not _WEBHOOK_ID.fullmatch(webhook_id):
                return Response(status_code=401)
            return await doorway.accept(producer, sender, webhook_id, body)

    router.add_api_route(PATH, receive, methods=["POST"], responses=PUSHED, openapi_extra=PUSH)
    return router


def _refusal(status: int, error: str, faults: list[dict[str, str]] | None = None) -> Response:
    told = {"error": error, **({"faults": faults} if faults else {})}
    return JSONResponse(told, status_code=status)


def _faults(exc: ValidationError) -> list[dict[str, str]]:
    """Return where the payload is wrong, without what stands there."""
    return [
        {"field": ".".join(map(str, fault["loc"])), "problem": fault["msg"]}
        for fault in exc.errors(include_input=False, include_url=False, include_context=False)
    ]
