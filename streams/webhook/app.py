"""The webhook's ASGI application; opens nothing."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request, Response

from schemas.errors import PipelineError, Unavailable
from streams.logs import place
from streams.server.http import Checks, RequestMetrics, health_router
from streams.webhook.bodies import RETRY_AFTER_S, Bodies, Refused
from streams.webhook.inbox import Inbox
from streams.webhook.ports import AppSecrets
from streams.webhook.producers import Doorway, producers_router
from streams.webhook.straight import Handlers, Straight
from streams.webhook.whatsapp import PATH, receiver, whatsapp_router

log = structlog.get_logger(__name__)


def build(
    inbox: Inbox,
    *,
    secrets: AppSecrets,
    doorway: Doorway,
    checks: Checks,
    bodies: Bodies | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        inbox: Puts what is received on the log.
        secrets: Secrets of the Meta apps.
        doorway: Takes what other systems push.
        checks: Asks Kafka, Postgres and the settings for ``/health/ready``.
        bodies: Limits of bodies; those of WhatsApp unless given.
    """
    limits = bodies or Bodies()
    app = FastAPI(title="whaticket webhook", docs_url=None, redoc_url=None)
    receive = receiver(inbox, secrets, limits)
    app.include_router(whatsapp_router(receive, secrets))
    app.include_router(producers_router(doorway, limits))
    app.include_router(health_router("webhook", checks))
    handlers: Handlers = {Refused: _refused, PipelineError: _later}
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    app.add_middleware(Straight, path=PATH, endpoint=receive, handlers=handlers)
    app.add_middleware(RequestMetrics)
    return app


async def _refused(_: Request, exc: Exception) -> Response:
    if not isinstance(exc, Refused):
        raise exc
    return Response(status_code=exc.status, headers=dict(exc.headers))


async def _later(_: Request, exc: Exception) -> Response:
    """Ask for another delivery: whatever is wrong with us, the sender keeps the message."""
    log.warning("webhook.later", error=place(exc))
    wait = exc.retry_after_s if isinstance(exc, Unavailable) else None
    after = str(int(wait) if wait else RETRY_AFTER_S)
    return Response(status_code=503, headers={"Retry-After": after})
