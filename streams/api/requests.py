"""What people ask through the API -> events; the same idempotency key gives the same event ids."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from schemas.events import Command, ControlRequested, HumanReplied, Person, ReplyOrigin
from schemas.ids import derived, trace
from schemas.topics import CONTROL_REQUESTED, HUMAN_REPLIED
from sinks.conversations import Place
from streams.whatsapp.fields import LAST_MS

TEXT_CHARS: Final = 4096
"""Source: Meta, WhatsApp Cloud API, "Text messages": body has at most 4096 characters."""

KEY_PATTERN: Final = r"^[\x21-\x7e]{1,200}$"

SOME_WORD: Final = r"^[^\x00]*[^\s\x00][^\x00]*$"
"""Not only blanks, and no NUL: Postgres holds none in a text."""

Label = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,64}$")]
User = Annotated[str, StringConstraints(pattern=r"^[\w.@+-]{1,64}$")]
Reason = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_:.-]{0,64}$")]


class _Asked(BaseModel):
    """Fields of every request; others are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)

    agent_user: User | None = None


class Reply(_Asked):
    """A person's message to the customer."""

    text: Annotated[str, Field(min_length=1, max_length=TEXT_CHARS, pattern=SOME_WORD)]


class Control(_Asked):
    """What a person asks of a conversation."""

    reason: Reason = ""


class Tag(Control):
    """A tag that the helpdesk put on a conversation, or took off it."""

    tag: Label


class Pause(Control):
    """A pause; without an end it lasts until it is released."""

    until: AwareDatetime | None = None


def reply_event(place: Place, reply: Reply, key: str, *, now_ms: int) -> HumanReplied:
    """Return the event of a reply."""
    identity = "reply", place.conversation_id, key
    return HumanReplied(
        event=HUMAN_REPLIED.name,
        event_id=derived(*identity),
        trace_id=trace(*identity),
        tenant_id=place.tenant_id,
        conversation_id=place.conversation_id,
        customer_id=place.customer_id,
        idempotency_key=f"{place.conversation_id}:{key}",
        occurred_at=now_ms,
        phone_number_id=place.phone_number_id,
        origin=ReplyOrigin.CONSOLE,
        reply_id=key,
        agent_user=reply.agent_user,
        text=reply.text,
        recipient=_recipient(place),
    )


def _recipient(place: Place) -> Person | None:
    """Return whom to answer: a reply may be decided before the message that it answers."""
    if not (place.wa_id or place.user_id):
        return None
    return Person(wa_id=place.wa_id or None, user_id=place.user_id or None)


def control_event(
    place: Place, command: Command, asked: Control, key: str, *, now_ms: int
) -> ControlRequested:
    """Return the event of a command; one key may name several tags."""
    about = (asked.tag,) if isinstance(asked, Tag) else ()
    identity = command.value, place.conversation_id, key, *about
    until = asked.until if isinstance(asked, Pause) else None
    return ControlRequested(
        event=CONTROL_REQUESTED.name,
        event_id=derived(*identity),
        trace_id=trace(*identity),
        tenant_id=place.tenant_id,
        conversation_id=place.conversation_id,
        customer_id=place.customer_id,
        idempotency_key=":".join((place.conversation_id, command.value, key, *about)),
        occurred_at=now_ms,
        command=command,
        request_id=key,
        agent_user=asked.agent_user,
        reason=asked.reason,
        until=None if until is None else _millis(until),
        tag="".join(about),
    )


def _millis(moment: datetime) -> int:
    """Return a time that readers of the log can still show as a date, in UTC too."""
    return min(max(int(moment.timestamp() * 1000), 0), LAST_MS)
