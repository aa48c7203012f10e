"""The feed's reading end: a Socket.IO server that lets consoles into their company's rooms.

Rule 1: a socket is only ever in rooms of its own company; the server makes every room's name.
Rule 2: a bad token is disconnected after the connection, as the helpdesk's frontend expects.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

import structlog
from socketio import AsyncServer

from schemas.errors import Rejected, Unavailable
from sinks.conversations import Conversations
from streams.api import dialect
from streams.api.ear import Ear
from streams.api.feed import CHANNEL
from streams.api.tokens import Watcher, watcher_of

log = structlog.get_logger(__name__)

STATUSES: Final = ("open", "pending", "closed")
LARGEST_ID: Final = 2**31 - 1
MESSAGE_BYTES: Final = 16_384
"""Consoles only send names of rooms."""


@dataclass(slots=True)
class Socket:
    """One connected console.

    Attributes:
        watcher: Who it is.
        joined: How often each room was joined: several parts of a screen share one socket.
    """

    watcher: Watcher
    joined: Counter[str] = field(default_factory=Counter)


class Rooms:
    """Handles one namespace of the server.

    Args:
        server: The Socket.IO server.
        conversations: Tells whose a ticket is.
        key: What signs the tokens.
    """

    def __init__(self, server: AsyncServer, conversations: Conversations, key: bytes) -> None:
        self.server = server
        self.conversations = conversations
        self.key = key
        self.sockets: dict[str, Socket] = {}

    def register(self) -> None:
        """Let the server call this object."""
        for event, handler in {
            "connect": self.connect,
            "disconnect": self.disconnect,
            "joinChatBox": self.join_chat_box,
            "leaveChatBox": self.leave_chat_box,
            "joinNotification": self.join_notification,
            "leaveNotification": self.leave_notification,
            "joinTickets": self.join_tickets,
            "leaveTickets": self.leave_tickets,
        }.items():
            self.server.on(event, handler)

    async def close(self) -> None:
        """Listen to Redis no more."""
        manager = self.server.manager
        listening = getattr(manager, "thread", None)
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        if manager.redis is not None:
            await manager.pubsub.aclose()
            await manager.redis.aclose()
        await self.server.shutdown()

    async def connect(self, sid: str, environ: dict[str, Any], _auth: Any = None) -> None:
        """Let a console in, or have it disconnected."""
        token = parse_qs(environ.get("QUERY_STRING", "")).get("token", [""])[0]
        try:
            # the frontend keeps its token as a JSON string
            watcher = watcher_of(token.strip('"'), self.key)
        except Rejected as exc:
            log.info("feed.refused", reason=exc.reason, error=exc.detail)
            # refusing would send a reason, which JavaScript clients call a parse error
            await self.server.disconnect(sid)
            return
        self.sockets[sid] = Socket(watcher)
        await self.server.enter_room(sid, dialect.main_room(watcher.company))
        await self.server.enter_room(sid, dialect.user_room(watcher.company, watcher.user))
        await self.server.emit("ready", to=sid)

    async def disconnect(self, sid: str, _reason: Any = None) -> None:
        """Forget a console."""
        self.sockets.pop(sid, None)

    async def join_chat_box(self, sid: str, ticket_id: Any = None) -> None:
        """Join a ticket's room if the ticket is the company's and nobody else's."""
        socket, number = self.sockets.get(sid), _number(ticket_id)
        if socket is None or number is None:
            return
        watcher = socket.watcher
        try:
            ticket = await self.conversations.watchable(watcher.company, number)
        except Unavailable as exc:
            log.warning("feed.join_refused", service=exc.service)
            return
        if ticket is None:
            return
        if watcher.admin or ticket["agent_user"] in {None, watcher.user}:
            await self._join(sid, str(number))

    async def leave_chat_box(self, sid: str, ticket_id: Any = None) -> None:
        """Leave a ticket's room."""
        number = _number(ticket_id)
        if number is not None:
            await self._leave(sid, str(number))

    async def join_notification(self, sid: str, *_: Any) -> None:
        """Be told of every ticket."""
        if (socket := self.sockets.get(sid)) is not None:
            await self._join(sid, dialect.notification_room(socket.watcher.company))

    async def leave_notification(self, sid: str, *_: Any) -> None:
        """Be told no more."""
        if (socket := self.sockets.get(sid)) is not None:
            await self._leave(sid, dialect.notification_room(socket.watcher.company))

    async def join_tickets(self, sid: str, status: Any = None) -> None:
        """Watch the tickets of one status; who is no admin watches those that wait."""
        socket = self.sockets.get(sid)
        if socket is None or status not in STATUSES:
            return
        if socket.watcher.admin or status == "pending":
            await self._join(sid, dialect.list_room(socket.watcher.company, status))

    async def leave_tickets(self, sid: str, status: Any = None) -> None:
        """Watch them no more."""
        socket = self.sockets.get(sid)
        if socket is not None and status in STATUSES:
            await self._leave(sid, dialect.list_room(socket.watcher.company, status))

    async def _join(self, sid: str, room: str) -> None:
        socket = self.sockets.get(sid)
        if socket is None:  # it left while its ticket was looked up
            return
        socket.joined[room] += 1
        await self.server.enter_room(sid, room)

    async def _leave(self, sid: str, room: str) -> None:
        socket = self.sockets.get(sid)
        if socket is None or socket.joined[room] == 0:
            return
        socket.joined[room] -= 1
        if socket.joined[room] == 0:
            del socket.joined[room]
            await self.server.leave_room(sid, room)


def _number(ticket_id: Any) -> int | None:
    """Return a ticket's number, which consoles send as a string."""
    text = str(ticket_id) if isinstance(ticket_id, int | str) else ""
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(LARGEST_ID)):
        return None
    return int(text) if int(text) <= LARGEST_ID else None


def feed_server(
    redis_url: str, conversations: Conversations, key: bytes
) -> tuple[AsyncServer, Rooms]:
    """Return the Socket.IO server, whose path is ``/socket.io``, and what handles it.

    Args:
        redis_url: Where the writers of the feed send to.
        conversations: Tells whose a ticket is.
        key: What signs the tokens.
    """
    server = AsyncServer(
        async_mode="asgi",
        client_manager=Ear(redis_url, channel=CHANNEL),
        # no cookie means anything here: any page may connect, only a token lets it in
        cors_allowed_origins="*",
        always_connect=True,
        async_handlers=False,  # joins and leaves of one console keep their order
        max_http_buffer_size=MESSAGE_BYTES,
    )
    rooms = Rooms(server, conversations, key)
    rooms.register()
    return server, rooms
