"""The people's REST API: reply, take over, release, pause, tag, close; and read."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Protocol

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Security
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer

from schemas.errors import Unavailable
from schemas.events import Command, Event
from sinks.conversations import Conversations, Place
from streams.api.answers import REFUSALS, Accepted, Listed, Whole
from streams.api.requests import (
    KEY_PATTERN,
    Control,
    Pause,
    Reply,
    Tag,
    control_event,
    reply_event,
)

Endpoint = Callable[..., Awaitable[JSONResponse]]
Publish = Callable[[Event], Awaitable[Any]]
"""Returns once all replicas have the event; raises Unavailable."""

CONTROLS: Final = (Command.TAKEOVER, Command.RELEASE, Command.CLOSE, Command.UNPARK)
TAGS: Final = (Command.TAG, Command.UNTAG)
RETRY_AFTER_S: Final = 2.0
BODY_BYTES: Final = 64 * 1024
"""Largest body: the longest text, every character of it escaped, has room in it."""

MOST: Final = 200
MOST_MESSAGES: Final = 500

Key = Annotated[str, Header(alias="Idempotency-Key", pattern=KEY_PATTERN)]


class Now(Protocol):
    """The wall clock."""

    def now_ms(self) -> int:
        """Unix milliseconds, UTC."""


def bearer(token: str) -> Callable[[Request], None]:
    """Return a check of the request's bearer token."""
    wanted = f"Bearer {token}".encode()

    def check(request: Request) -> None:
        given = request.headers.get("authorization", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, wanted):
            raise HTTPException(401, "unauthorized", {"WWW-Authenticate": "Bearer"})

    return check


class Desk:
    """What people may ask.

    Args:
        conversations: The transcripts.
        publish: Puts an event on the log.
        clock: Time of what people ask.
        timeout_s: How long a request waits for the log before it is answered 503.
    """

    def __init__(
        self, conversations: Conversations, publish: Publish, *, clock: Now, timeout_s: float
    ) -> None:
        self.conversations = conversations
        self.publish = publish
        self.clock = clock
        self.timeout_s = timeout_s

    async def reply(self, conversation_id: str, key: Key, asked: Reply) -> JSONResponse:
        """Answer the customer."""
        place = await self._place(conversation_id)
        return await self._accepted(reply_event(place, asked, key, now_ms=self.clock.now_ms()))

    def control(self, command: Command) -> Endpoint:
        """Return the endpoint of a command."""

        async def handle(
            conversation_id: str, key: Key, asked: Control | None = None
        ) -> JSONResponse:
            return await self._control(conversation_id, key, command, asked or Control())

        return handle

    async def pause(
        self, conversation_id: str, key: Key, asked: Pause | None = None
    ) -> JSONResponse:
        """Silence the AI until a time, or until it is released."""
        return await self._control(conversation_id, key, Command.PAUSE, asked or Pause())

    def tagged(self, command: Command) -> Endpoint:
        """Return the endpoint of a command that is about a tag."""

        async def handle(conversation_id: str, key: Key, asked: Tag) -> JSONResponse:
            return await self._control(conversation_id, key, command, asked)

        return handle

    async def listed(
        self,
        tenant: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]+$")],
        status: Annotated[str | None, Query(pattern="^(open|pending|closed)$")] = None,
        before_ms: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
        before_id: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]+$")] = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    ) -> JSONResponse:
        """Return a company's conversations, the newest first.

        The next page is asked for with the `updated_ms` and `conversation_id` of the last row as
        `before_ms` and `before_id`: several conversations may change in one millisecond.
        """
        rows = await self.conversations.newest(
            tenant, status=status, before_ms=before_ms, before_id=before_id, limit=limit
        )
        return JSONResponse({"conversations": rows})

    async def whole(
        self, conversation_id: str, limit: Annotated[int, Query(ge=1, le=MOST_MESSAGES)] = 100
    ) -> JSONResponse:
        """Return where a conversation stands, its messages, turns and outcomes."""
        place = await self._place(conversation_id)
        return JSONResponse(dict(await self.conversations.whole(place, limit=limit)))

    async def _place(self, conversation_id: str) -> Place:
        place = await self.conversations.place(conversation_id.replace("\x00", ""))
        if place is None:
            raise HTTPException(404, "unknown_conversation")
        return place

    async def _control(
        self, conversation_id: str, key: str, command: Command, asked: Control
    ) -> JSONResponse:
        place = await self._place(conversation_id)
        event = control_event(place, command, asked, key, now_ms=self.clock.now_ms())
        return await self._accepted(event)

    async def _accepted(self, event: Event) -> JSONResponse:
        try:
            async with asyncio.timeout(self.timeout_s):
                await self.publish(event)
        except TimeoutError as exc:
            # it may still arrive: asking again with the same key is the same event
            raise Unavailable("kafka", RETRY_AFTER_S) from exc
        return JSONResponse(
            {"event_id": event.event_id, "conversation_id": event.conversation_id}, 202
        )


def people_router(desk: Desk, *, token: str) -> APIRouter:
    """Return the routes under ``/v1``; every request needs the bearer token."""
    router = APIRouter(
        prefix="/v1/conversations",
        dependencies=[Depends(bearer(token)), Security(HTTPBearer(auto_error=False))],
        responses=REFUSALS,
        max_body_size=BODY_BYTES,
    )
    posts: dict[str, Endpoint] = {"reply": desk.reply, "pause": desk.pause}
    for command in CONTROLS:
        posts[command.value] = desk.control(command)
    for command in TAGS:
        posts[command.value] = desk.tagged(command)
    for name, endpoint in posts.items():
        path = f"/{{conversation_id}}/{name}"
        router.add_api_route(
            path, endpoint, methods=["POST"], status_code=202, name=name, response_model=Accepted
        )
    router.add_api_route("", desk.listed, name="conversations", response_model=Listed)
    path = "/{conversation_id}"
    router.add_api_route(path, desk.whole, name="conversation", response_model=Whole)
    return router
