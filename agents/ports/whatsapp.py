"""Posting messages to WhatsApp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """WhatsApp took the message.

    Attributes:
        wamid: WhatsApp's id of it.
        wa_id: The recipient's canonical WhatsApp id, when the answer names it.
    """

    wamid: str
    wa_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """WhatsApp answered with an error.

    Attributes:
        code: WhatsApp's error code; 0 when the answer had none.
        status: HTTP status.
        title: WhatsApp's message, without personal data.
    """

    code: int
    status: int
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The request was written, but no answer was read: it may have been sent.

    Attributes:
        reason: ``timeout``, ``cut`` or ``bad_answer``.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSent:
    """The request was certainly not written (connection refused, no token).

    Attributes:
        reason: ``unreachable``, ``no_token``, ``token_unavailable`` or ``claim_expired``.
    """

    reason: str


Receipt = Accepted | Refused | Unknown | NotSent


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """An approved template with one parameter in its body.

    Attributes:
        name: Its name.
        language: Its language, as WhatsApp names it.
        parameter: What goes into its body: one line, at most 1,024 characters.
    """

    name: str
    language: str
    parameter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message to post to WhatsApp.

    Attributes:
        tenant_id: The company.
        phone_number_id: The business number to send from.
        wa_id: The recipient's WhatsApp id, or None.
        user_id: The recipient's business-scoped user id, used when wa_id is None.
        text: What to send, at most 4,096 characters.
        reply_to_wamid: The message to quote, if any.
        callback_data: Comes back in statuses; at most 512 characters, no personal data.
        template: What to send in the place of the text; without it the text is sent.
    """

    tenant_id: str
    phone_number_id: str
    wa_id: str | None
    user_id: str | None
    text: str
    reply_to_wamid: str | None
    callback_data: str
    template: Template | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A customer's message that was read, while an answer is being written.

    Attributes:
        phone_number_id: The business number.
        wamid: The message.
    """

    phone_number_id: str
    wamid: str


class Courier(Protocol):
    """Posts messages to WhatsApp."""

    async def post(self, letter: Letter, /, *, until_ms: int) -> Receipt:
        """Post one message, once; never retries by itself and never raises for an answer.

        Nothing is written after ``until_ms``, Unix milliseconds.
        """


class Tokens(Protocol):
    """Access tokens of business numbers."""

    async def token(self, phone_number_id: str, /) -> str | None:
        """Return the current token, or None when the number has none.

        Raises:
            Unavailable: Postgres is down and the token is not in memory.
        """
