"""Meta's error answers, as the Cloud API writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from streams.local.simulator.filetypes import TYPES

TITLES: Final = {
    2: "Service temporarily unavailable",
    4: "Application request limit reached",
    10: "Application does not have permission for this action",
    100: "Invalid parameter",
    190: "Authentication Error",
    80007: "Rate limit issues",
    130429: "Rate limit hit",
    130472: "User's number is part of an experiment",
    131000: "Something went wrong",
    131008: "Required parameter is missing",
    131009: "Parameter value is not valid",
    131021: "Recipient cannot be sender",
    131026: "Message undeliverable",
    131047: "Re-engagement message",
    131048: "Spam rate limit hit",
    131049: ("This message was not delivered to maintain healthy ecosystem engagement."),
    131051: "Unsupported message type",
    131056: "(Business Account, Consumer Account) pair rate limit hit",
    131057: "Account in maintenance mode",
    132000: "Number of parameters does not match the expected number of params",
    132001: "Template name does not exist in the translation",
    132015: "Template is paused",
}
"""Titles of the codes that the simulator answers with.

Source: Meta, "WhatsApp Cloud API: Error codes".
"""

DETAILS: Final = {
    130429: (
        "Message failed to send because there were too many messages sent from this phone"
        " number in a short period of time"
    ),
    131026: "Message Undeliverable.",
    131047: (
        "Message failed to send because more than 24 hours have passed since the customer"
        " last replied to this number."
    ),
    131048: (
        "Message failed to send because there are restrictions on how many messages can be"
        " sent from this phone number. This may be because too many previous messages were"
        " blocked or flagged as spam."
    ),
    131056: (
        "Message failed to send because there were too many messages sent from this phone"
        " number to the same phone number in a short period of time."
    ),
    131057: "Business Account is in maintenance mode.",
}
"""Details of the codes whose details are always the same.

Source: Meta, "WhatsApp Cloud API: Error codes"; recorded answers: developers.aivo.co/engage
(130429) and github.com/shridarpatil/frappe_whatsapp, issue 133 (131047).
"""

BAD_REQUEST: Final = 400
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error answer.

    Attributes:
        code: Meta's error code: what a client decides by.
        details: One sentence for a developer, or nothing; never holds what a customer wrote.
        status: HTTP status; not what a client decides by.
        title: Title of the code, when it is not one of ``TITLES``.
        subcode: Meta's second code, where it gives one.
        message: The whole message, where it is none of code and title.
        kind: Class of the error in Graph's words.
    """

    code: int
    details: str
    status: int = BAD_REQUEST
    title: str = ""
    subcode: int | None = None
    message: str = ""
    kind: str = "OAuthException"

    def body(self, fbtrace_id: str) -> dict[str, Any]:
        """Return the JSON body of the answer."""
        title = self.title or TITLES.get(self.code, "Something went wrong")
        error: dict[str, Any] = {
            "message": self.message or f"(#{self.code}) {title}",
            "type": self.kind,
            "code": self.code,
        }
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.details:
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        return {"error": {**error, "fbtrace_id": fbtrace_id}}


def plain(code: int, status: int = BAD_REQUEST) -> Refusal:
    """Return the answer of a code whose details are always the same."""
    return Refusal(code, DETAILS.get(code, ""), status)


def missing(parameter: str) -> Refusal:
    """Return the answer to a request that lacks a parameter of its message type."""
    return Refusal(131008, f"The parameter {parameter} is required.")


def wrong(parameter: str, why: str) -> Refusal:
    """Return the answer to a parameter whose value cannot be used."""
    return Refusal(131009, f"{parameter} {why}")


def invalid(parameter: str, why: str) -> Refusal:
    """Return the answer to a request that Graph refuses before WhatsApp sees it."""
    return Refusal(100, f"Param {parameter} {why}")


def required(parameter: str) -> Refusal:
    """Return Graph's answer to a form that lacks a field.

    Source: github.com/Neurotech-HQ/heyoo, issue 27 (recorded answer).
    """
    return Refusal(100, "", title=f"The parameter {parameter} is required.")


def wrong_type(mime_type: str) -> Refusal:
    """Return the answer to a file of a type that WhatsApp does not take.

    Source: github.com/fbsamples/whatsapp-api-examples, issue 10 (recorded answer).
    """
    taken = ", ".join(TYPES)
    title = f"Param file must be a file with one of the following types: {taken}."
    given = f" Received file of type '{mime_type}'." if mime_type else ""
    return Refusal(100, "", title=title + given)


def too_large() -> Refusal:
    """Return the answer to a file that is larger than its type may be.

    Source: github.com/shridarpatil/whatomate, pull request 540 (quoted answer).
    """
    return Refusal(100, "File Too Large: The file you uploaded is too large.")


def unknown_object(method: str, object_id: str) -> Refusal:
    """Return Graph's answer to an id that is unknown, deleted or too old.

    Source: github.com/roughike/flutter_facebook_login, issue 44 (recorded answer).
    """
    return Refusal(
        100,
        "",
        message=f"Unsupported {method} request. Object with ID '{object_id}' does not exist,"
        " cannot be loaded due to missing permissions, or does not support this operation."
        " Please read the Graph API documentation at"
        " https://developers.facebook.com/docs/graph-api",
        subcode=33,
        kind="GraphMethodException",
    )


def foreign_number() -> Refusal:
    """Return the answer to a ``phone_number_id`` that did not upload the file.

    Source: github.com/chatwoot/chatwoot, pull request 13319 (quoted answer): customers' files
    were uploaded by no business number at all.
    """
    param = "Param phone_number_id is not a valid whatsapp business phone number id ID"
    return Refusal(100, "", title=param)


def not_uploaded(kind: str) -> Refusal:
    """Return the answer to a message whose file was never uploaded by this number.

    Source: n8n, node WhatsApp Business Cloud, which recognises the answer by this text.
    """
    param = f"Param {kind}.id is not a valid whatsapp business account media attachment ID"
    return Refusal(100, "", title=param)
