"""Bodies of webhooks as Meta writes them, and their signature.

Source: Meta, "WhatsApp Cloud API: Webhooks" and "Graph API: Validating payloads".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any, Final

import orjson

from streams.local.simulator.book import Entry
from streams.local.simulator.refusals import DETAILS, TITLES

WABA_ID: Final = "1234567890987654321"
ERRORS_PAGE: Final = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"
SIGNATURE_HEADER: Final = "X-Hub-Signature-256"


def sign(secret: bytes, body: bytes) -> str:
    """Return the value of ``X-Hub-Signature-256``: an HMAC over the raw bytes."""
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def wamid(seed: int, counter: int, what: str = "out") -> str:
    """Return the id of a message; equal seeds and counters give equal ids."""
    digest = hashlib.blake2b(f"simulator:{seed}:{what}:{counter}".encode(), digest_size=24)
    return "wamid." + base64.b64encode(digest.digest()).decode()


def envelope(phone_number_id: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return a whole body around what happened to one business number."""
    metadata = {"display_phone_number": phone_number_id, "phone_number_id": phone_number_id}
    change = {
        "field": "messages",
        "value": {"messaging_product": "whatsapp", "metadata": metadata, **value},
    }
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": WABA_ID, "changes": [change]}],
    }


def received(
    phone_number_id: str, message: dict[str, Any], *, name: str = "", user_id: str = ""
) -> dict[str, Any]:
    """Return the body that tells of a customer's message."""
    contact: dict[str, Any] = {"wa_id": message["from"]}
    if name:
        contact["profile"] = {"name": name}
    if user_id:
        contact["user_id"] = user_id
    return envelope(phone_number_id, {"contacts": [contact], "messages": [message]})


def status(entry: Entry, state: str, at_ms: int, *, code: int = 0) -> dict[str, Any]:
    """Return what Meta says of one message that we sent; ``code`` is why it failed."""
    named = "recipient_id" if entry.to.isdigit() else "recipient_user_id"
    told: dict[str, Any] = {
        "id": entry.wamid,
        "status": state,
        "timestamp": str(at_ms // 1000),
        named: entry.to,
    }
    if code:
        title = TITLES.get(code, "Something went wrong")
        details = DETAILS.get(code, title)
        told["errors"] = [
            {
                "code": code,
                "title": title,
                "message": title,
                "error_data": {"details": details},
                "href": ERRORS_PAGE,
            }
        ]
    else:
        told["pricing"] = {"billable": True, "pricing_model": "PMP", "category": "service"}
    if entry.callback_data:
        told["biz_opaque_callback_data"] = entry.callback_data
    return told


def statuses(updates: list[tuple[str, dict[str, Any]]]) -> bytes:
    """Return one body for many statuses: one change for each business number."""
    numbers: dict[str, list[dict[str, Any]]] = {}
    for phone_number_id, told in updates:
        numbers.setdefault(phone_number_id, []).append(told)
    changes = [
        envelope(number, {"statuses": told})["entry"][0]["changes"][0]
        for number, told in numbers.items()
    ]
    whole = {
        "object": "whatsapp_business_account",
        "entry": [{"id": WABA_ID, "changes": changes}],
    }
    return orjson.dumps(whole)
