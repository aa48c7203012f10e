"""WhatsApp's POSTs go straight to their endpoint, past the framework's walk to it.

Four in five requests are such, a message or one of the three statuses of each bubble, and of
FastAPI they need neither parameters nor dependencies: the walk is a third of their CPU time.
Their route stays in the application for its document.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]
Handlers = Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]
"""What is answered when an endpoint raises."""


class Straight:
    """ASGI middleware in front of one route.

    Args:
        app: Everything else.
        path: The route's path, with its parameters' names.
        endpoint: Answers its POSTs.
        handlers: Answer what the endpoint raises; every other exception passes.
    """

    def __init__(self, app: ASGIApp, path: str, endpoint: Endpoint, handlers: Handlers) -> None:
        self.app = app
        self.route = Route(path, endpoint, methods=["POST"])
        self.endpoint = endpoint
        self.handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a POST of the route; pass everything else on."""
        match, found = self.route.matches(scope)
        if match is not Match.FULL:
            await self.app(scope, receive, send)
            return
        scope.update(found, route=self.route)
        request = Request(scope, receive)
        try:
            response = await self.endpoint(request)
        except tuple(self.handlers) as exc:
            handler = next(told for kind, told in self.handlers.items() if isinstance(exc, kind))
            response = await handler(request, exc)
        await response(scope, receive, send)
