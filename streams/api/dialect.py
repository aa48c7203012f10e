"""The multi-tenant Whaticket dialect of Socket.IO: rows to what its frontend expects. Pure.

Rules that its frontend relies on: ids are numbers, except a message's; a ticket that changes
its status or its person is first deleted from the old list; ``appMessage`` carries the whole
ticket, which replaces the card.

Source: launcherbr/whaticketsaas (MIT), backend/src/libs/socket.ts and
frontend/src/components/TicketsListCustom, commit d2c82fcce04b.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from schemas.events import BubbleState
from sinks.changes import Changes, Key

Row = Mapping[str, Any]
Json = dict[str, Any]

LATEST_MS: Final = 253_402_300_799_000
"""End of the year 9999, the last that a date can say."""

ACKS: Final = MappingProxyType({"accepted": 1, "sent": 2, "delivered": 3, "read": 4, "played": 5})
"""Baileys' scale: 0 is a clock, 1 and 2 one check, 3 two checks, 4 and 5 coloured ones."""

SENT_BY_PHONE: Final = 2
"""Of what a person sent from the phone app we are told no more than that it was sent."""

MEDIA_TYPES: Final = MappingProxyType(
    {
        "image": "image",
        "video": "video",
        "audio": "audio",
        "document": "application",
        "sticker": "stickerMessage",
        "location": "locationMessage",
        "contacts": "contactMessage",
        "reaction": "reactionMessage",
    }
)
TEXT_TYPE: Final = "conversation"

SIDE_NOTES: Final = frozenset({"edit", "revoke"})
"""Messages that only change another one."""


@dataclass(frozen=True, slots=True)
class Emit:
    """One event for everyone in any of some rooms.

    Attributes:
        event: Its name.
        body: Its one argument.
        rooms: Names of the rooms; who is in several receives it once.
    """

    event: str
    body: Json
    rooms: tuple[str, ...]


def list_room(company: int, status: str) -> str:
    """Room of those who see a company's tickets of one status."""
    return f"company-{company}-{status}"


def main_room(company: int) -> str:
    """Room of everyone of a company."""
    return f"company-{company}-mainchannel"


def notification_room(company: int) -> str:
    """Room of those who are told of every ticket of a company."""
    return f"company-{company}-notification"


def user_room(company: int, user: str) -> str:
    """Room of one person's sockets; people's numbers are unique within a company only."""
    return f"company-{company}-user-{user}"


def emits(changes: Changes, tickets: Mapping[Key, Row], bubbles: list[Row]) -> Iterator[Emit]:
    """Yield what a batch's changes are in the dialect, in the order to send it."""
    for key, (status_before, user_before) in changes.moved.items():
        if key in tickets:
            yield from _moved(tickets[key], status_before, user_before)
    created = {(change.key, change.id) for change in changes.messages if change.created}
    for bubble in bubbles:
        key = bubble["tenant_id"], bubble["conversation_id"]
        if key in tickets and bubble["kind"] not in SIDE_NOTES:
            yield _message(tickets[key], bubble, new=(key, bubble["id"]) in created)


def _moved(ticket: Row, status_before: str, user_before: str | None) -> Iterator[Emit]:
    company = ticket["company"]
    event = f"company-{company}-ticket"
    if (status_before, user_before) != (ticket["status"], ticket["agent_user"]):
        leaving = [list_room(company, status_before)]
        if user_before is not None:
            leaving.append(user_room(company, user_before))
        yield Emit(event, {"action": "delete", "ticketId": ticket["id"]}, tuple(leaving))
    rooms = _rooms(ticket)
    if user_before is not None and user_before != ticket["agent_user"]:
        rooms = (*rooms, user_room(company, user_before))
    yield Emit(event, {"action": "update", "ticket": ticket_json(ticket)}, rooms)


def _message(ticket: Row, bubble: Row, *, new: bool) -> Emit:
    event = f"company-{ticket['company']}-appMessage"
    message = message_json(ticket, bubble)
    if not new:
        return Emit(event, {"action": "update", "message": message}, (str(ticket["id"]),))
    body = {
        "action": "create",
        "message": message,
        "ticket": ticket_json(ticket),
        "contact": _contact(ticket),
    }
    return Emit(event, body, _rooms(ticket))


def _rooms(ticket: Row) -> tuple[str, ...]:
    company = ticket["company"]
    rooms = [
        list_room(company, ticket["status"]),
        notification_room(company),
        str(ticket["id"]),
    ]
    if ticket["agent_user"] is not None:
        rooms.append(user_room(company, ticket["agent_user"]))
    return tuple(rooms)


def ticket_json(ticket: Row) -> Json:
    """Return a whole ticket, as its card needs it."""
    user = _user(ticket)
    return {
        "id": ticket["id"],
        "uuid": ticket["conversation_id"],
        "status": ticket["status"],
        "unreadMessages": ticket["unread"],
        "lastMessage": ticket["last_message"],
        "fromMe": ticket["last_from_me"],
        "isGroup": False,
        "chatbot": ticket["chatbot"],
        "companyId": ticket["company"],
        "contactId": ticket["contact_id"],
        "contact": _contact(ticket),
        "userId": None if user is None else user["id"],
        "user": user,
        "queueId": None,
        "queue": None,
        "whatsappId": ticket["channel_id"],
        "whatsapp": {"id": ticket["channel_id"], "name": ticket["phone_number_id"]},
        "tags": [],
        "createdAt": _iso(ticket["first_ms"] or ticket["updated_ms"]),
        "updatedAt": _iso(ticket["updated_ms"]),
    }


def _contact(ticket: Row) -> Json:
    return {
        "id": ticket["contact_id"],
        "name": ticket["contact_name"] or ticket["contact_number"],
        "number": ticket["contact_number"],
        "email": "",
        "profilePicUrl": "",
        "isGroup": False,
        "companyId": ticket["company"],
    }


def _user(ticket: Row) -> Json | None:
    """Return the person who has the ticket; one whose id is no number has only a name."""
    name = ticket["agent_user"]
    if name is None:
        return None
    return {"id": int(name) if name.isascii() and name.isdigit() else None, "name": name}


def message_json(ticket: Row, bubble: Row) -> Json:
    """Return a whole message."""
    quoted = None
    if bubble["quoted_id"] is not None:
        quoted = {
            "id": bubble["quoted_id"],
            "body": bubble["quoted_body"] or "",
            "fromMe": bubble["quoted_from_me"],
            "contact": None if bubble["quoted_from_me"] else _contact(ticket),
        }
    at = _iso(bubble["at_ms"])
    return {
        "id": bubble["id"],
        "ack": _ack(bubble),
        "read": bubble["from_me"] or ticket["unread"] == 0,
        "fromMe": bubble["from_me"],
        "body": bubble["body"],
        "mediaUrl": None,
        "mediaType": MEDIA_TYPES.get(bubble["kind"], TEXT_TYPE),
        # What the gate never sends, after a takeover, is nearest to what was taken back.
        "isDeleted": bubble["deleted"] or bubble["state"] == BubbleState.DROPPED,
        "isEdited": bubble["edited"],
        "quotedMsgId": bubble["quoted_id"],
        "quotedMsg": quoted,
        "ticketId": ticket["id"],
        "contactId": None if bubble["from_me"] else ticket["contact_id"],
        "contact": None if bubble["from_me"] else _contact(ticket),
        "queueId": None,
        "companyId": ticket["company"],
        "createdAt": at,
        "updatedAt": at,
    }


def _ack(bubble: Row) -> int:
    if bubble["from_me"] and not bubble["state"]:
        return SENT_BY_PHONE
    return ACKS.get(bubble["state"], 0)


def _iso(at_ms: int) -> str:
    moment = datetime.fromtimestamp(min(max(at_ms, 0), LATEST_MS) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
