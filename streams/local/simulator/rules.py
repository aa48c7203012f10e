"""What a request to send must satisfy: a list of checks that run in order.

Each rule says what is wrong with an attempt, or nothing. More rules (rates, faults) are more
entries of the list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streams.local.simulator.interactive import interactive
from streams.local.simulator.refusals import (
    UNAUTHORIZED,
    Refusal,
    invalid,
    missing,
    not_uploaded,
    wrong,
)
from streams.local.simulator.shelf import Shelf

BEARER: Final = re.compile(r"Bearer [^\s]{1,1024}")
PHONE: Final = re.compile(r"\+?[\d\s()-]{5,24}")
USER_ID: Final = re.compile(r"(?=.*[A-Za-z])[\w.-]{3,160}", re.ASCII)
WAMID_PREFIX: Final = "wamid."
CALLBACK_MAX: Final = 512
TEXT_MAX: Final = 4096
TYPES: Final = frozenset(
    {
        "text", "template", "image", "audio", "video", "document", "sticker",
        "location", "contacts", "interactive", "reaction",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to send, as it came.

    Attributes:
        phone_number_id: The business number in the path.
        authorization: The header.
        body: The parsed body, whatever it is.
        at_ms: When it came, Unix milliseconds.
    """

    phone_number_id: str
    authorization: str
    body: Any
    at_ms: int


Rule = Callable[[Attempt], Refusal | None]
"""One check; None is no objection."""


def judge(rules: Sequence[Rule], attempt: Attempt) -> Refusal | None:
    """Return the first objection of the rules, in their order."""
    for rule in rules:
        if refusal := rule(attempt):
            return refusal
    return None


def authorized(attempt: Attempt) -> Refusal | None:
    """A bearer token must be there; which one it is does not matter here."""
    return has_token(attempt.authorization)


def has_token(authorization: str) -> Refusal | None:
    """Check the header of any request to the Cloud API."""
    if BEARER.fullmatch(authorization):
        return None
    return Refusal(190, "Invalid OAuth access token.", UNAUTHORIZED)


def addressed_to_whatsapp(attempt: Attempt) -> Refusal | None:
    """The body must be an object that names the product."""
    if not isinstance(attempt.body, dict):
        return invalid("body", "must be a JSON object.")
    if attempt.body.get("messaging_product") != "whatsapp":
        return invalid("messaging_product", "must be one of {WHATSAPP}.")
    return None


def reads_well(attempt: Attempt) -> Refusal | None:
    """A read receipt names the message that was read; typing is of type text."""
    body = attempt.body
    if not is_receipt(body):
        return None
    if body["status"] != "read":
        return invalid("status", "must be one of {read}.")
    message_id = body.get("message_id")
    if not isinstance(message_id, str) or not message_id.startswith(WAMID_PREFIX):
        return wrong("message_id", "is not the id of a message.")
    typing = body.get("typing_indicator")
    if typing is not None and typing != {"type": "text"}:
        return invalid("typing_indicator['type']", "must be one of {text}.")
    return None


def has_recipient(attempt: Attempt) -> Refusal | None:
    """A message goes to a phone number (``to``) or to a user id (``recipient``)."""
    body = attempt.body
    if is_receipt(body):
        return None
    to, recipient = body.get("to"), body.get("recipient")
    if to is None and recipient is None:
        return invalid("to", "is required.")
    if to is not None:
        return _good_phone(attempt, to)
    if not isinstance(recipient, str) or not USER_ID.fullmatch(recipient):
        return wrong("recipient", "is not a user id.")
    return None


def _good_phone(attempt: Attempt, to: object) -> Refusal | None:
    if not isinstance(to, str) or not PHONE.fullmatch(to):
        return wrong("to", "is not a phone number.")
    if digits(to) == attempt.phone_number_id:
        return Refusal(131021, "The recipient is the sender.")
    return None


def has_good_callback(attempt: Attempt) -> Refusal | None:
    """``biz_opaque_callback_data`` comes back in statuses; at most 512 characters."""
    data = attempt.body.get("biz_opaque_callback_data")
    if data is None or (isinstance(data, str) and len(data) <= CALLBACK_MAX):
        return None
    return invalid("biz_opaque_callback_data", f"must be at most {CALLBACK_MAX} characters long.")


def has_content(attempt: Attempt) -> Refusal | None:
    """The object that the type names must be there."""
    body = attempt.body
    if is_receipt(body):
        return None
    kind = body.get("type", "text")
    if not isinstance(kind, str) or kind not in TYPES:
        return invalid("type", "is not a type of message.")
    content = body.get(kind)
    if content is None:
        return missing(kind)
    if kind == "contacts":
        return None if isinstance(content, list) and content else missing(kind)
    if not isinstance(content, dict) or not content:
        return invalid(kind, "has the wrong shape.")
    return CONTENTS[kind](content) if kind in CONTENTS else None


def _text(content: dict[str, Any]) -> Refusal | None:
    text = content.get("body")
    if not isinstance(text, str) or not text.strip():
        return missing("text['body']")
    if len(text) > TEXT_MAX:
        return invalid("text['body']", f"must be at most {TEXT_MAX} characters long.")
    return None


def _template(content: dict[str, Any]) -> Refusal | None:
    language = content.get("language")
    if not content.get("name"):
        return missing("template['name']")
    if not isinstance(language, dict) or not language.get("code"):
        return missing("template['language']['code']")
    return None


def _media(content: dict[str, Any]) -> Refusal | None:
    if bool(content.get("id")) == bool(content.get("link")):
        return wrong("media", "must have either an id or a link.")
    return None


def _reaction(content: dict[str, Any]) -> Refusal | None:
    message_id = content.get("message_id")
    if isinstance(message_id, str) and message_id.startswith(WAMID_PREFIX):
        return None
    return wrong("reaction['message_id']", "is not the id of a message.")


CONTENTS: Final[dict[str, Callable[[dict[str, Any]], Refusal | None]]] = {
    "text": _text,
    "template": _template,
    "image": _media,
    "audio": _media,
    "video": _media,
    "document": _media,
    "sticker": _media,
    "interactive": interactive,
    "reaction": _reaction,
}
SHAPES: Final[tuple[Rule, ...]] = (
    authorized,
    addressed_to_whatsapp,
    reads_well,
    has_recipient,
    has_good_callback,
    has_content,
)
"""The rules that do not depend on what was sent before."""


def has_uploaded(shelf: Shelf) -> Rule:
    """Return the rule that a file named by its id was uploaded for the sending number."""

    def rule(attempt: Attempt) -> Refusal | None:
        body = attempt.body
        kind = body.get("type")
        if is_receipt(body) or CONTENTS.get(kind) is not _media or "id" not in body[kind]:
            return None
        file = shelf.find(str(body[kind]["id"]), now_ms=attempt.at_ms)
        if file is not None and file.owner == attempt.phone_number_id:
            return None
        return not_uploaded(kind)

    return rule


def is_receipt(body: dict[str, Any]) -> bool:
    """Say whether a request marks a message as read instead of sending one."""
    return "status" in body


def addressee(body: dict[str, Any]) -> str:
    """Return who gets a message of the right shape: digits of a phone number, or a user id."""
    to = body.get("to")
    return str(body["recipient"]) if to is None else digits(to)


def digits(phone: str) -> str:
    """Return a phone number as WhatsApp names it: digits only."""
    return "".join(filter(str.isdigit, phone))
