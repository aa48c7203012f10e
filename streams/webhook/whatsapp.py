"""``/webhooks/whatsapp/{app_id}``: what Meta calls, one address for each Meta app."""

from __future__ import annotations

import hmac
import re
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from streams.webhook.bodies import Bodies
from streams.webhook.document import RECEIVE, RECEIVED, VERIFIED, VERIFY
from streams.webhook.inbox import Inbox
from streams.webhook.ports import AppSecrets
from streams.webhook.signatures import meta_signed
from streams.webhook.straight import Endpoint

PATH: Final = "/webhooks/whatsapp/{app_id}"

_APP_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_CHALLENGE: Final = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)


def receiver(inbox: Inbox, secrets: AppSecrets, bodies: Bodies) -> Endpoint:
    """Return what takes WhatsApp's POSTs; answers of refusals have no body."""

    async def receive(request: Request) -> Response:
        """Take messages, statuses and echoes; 200 only once the log has all of them."""
        app_id = request.path_params["app_id"]
        active = await secrets.app_secrets(app_id) if _APP_ID.fullmatch(app_id) else ()
        if not active:
            return Response(status_code=404)
        async with bodies.body(request) as body:
            header = request.headers.getlist("x-hub-signature-256")
            if not meta_signed(active, body, header[0] if len(header) == 1 else None):
                return Response(status_code=401)
            await inbox.accept(app_id, body)
        return Response(status_code=200)

    return receive


def whatsapp_router(receive: Endpoint, secrets: AppSecrets) -> APIRouter:
    """Return the two routes of WhatsApp; answers of refusals have no body."""
    router = APIRouter(tags=["whatsapp"])

    async def verify(request: Request) -> Response:
        """Answer Meta's check of a new subscription with its challenge."""
        app_id = request.path_params["app_id"]
        if not _APP_ID.fullmatch(app_id):
            return Response(status_code=404)
        token = await secrets.verify_token(app_id)
        if not token:
            return Response(status_code=404)
        challenge = _challenge(request, token)
        if challenge is None:
            return Response(status_code=403)
        return PlainTextResponse(challenge, headers={"X-Content-Type-Options": "nosniff"})

    get: dict[str, Any] = {"responses": VERIFIED, "openapi_extra": VERIFY}
    post: dict[str, Any] = {"responses": RECEIVED, "openapi_extra": RECEIVE}
    router.add_api_route(PATH, verify, methods=["GET"], response_class=Response, **get)
    router.add_api_route(PATH, receive, methods=["POST"], response_class=Response, **post)
    return router


def _challenge(request: Request, token: str) -> str | None:
    """Return the challenge to answer with; each parameter must stand there once."""
    given = []
    for name in ("hub.mode", "hub.verify_token", "hub.challenge"):
        values = request.query_params.getlist(name)
        if len(values) != 1:
            return None
        given.append(values[0])
    mode, theirs, challenge = given
    same = hmac.compare_digest(theirs.encode(errors="replace"), token.encode())
    if not same or mode != "subscribe" or not _CHALLENGE.fullmatch(challenge):
        return None
    return challenge
