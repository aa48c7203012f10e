"""Meta's error answers, as the Cloud API writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

TITLES: Final = {
    100: "Invalid parameter",
    190: "Authentication Error",
    131008: "Required parameter is missing",
    131009: "Parameter value is not valid",
    131021: "Recipient cannot be sender",
    131051: "Unsupported message type",
}
"""Titles of the codes that the simulator answers with.

Source: Meta, "WhatsApp Cloud API: Error codes".
"""

UNAUTHORIZED: Final = 401
BAD_REQUEST: Final = 400


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error answer.

    Attributes:
        code: Meta's error code: what a client decides by.
        details: One sentence for a developer; never holds what a customer wrote.
        status: HTTP status; not what a client decides by.
        title: Title of the code, when it is not one of ``TITLES``.
    """

    code: int
    details: str
    status: int = BAD_REQUEST
    title: str = ""

    def body(self, fbtrace_id: str) -> dict[str, Any]:
        """Return the JSON body of the answer."""
        title = self.title or TITLES.get(self.code, "Something went wrong")
        return {
            "error": {
                "message": f"(#{self.code}) {title}",
                "type": "OAuthException",
                "code": self.code,
                "error_data": {"messaging_product": "whatsapp", "details": self.details},
                "fbtrace_id": fbtrace_id,
            }
        }


def missing(parameter: str) -> Refusal:
    """Return the answer to a request that lacks a parameter of its message type."""
    return Refusal(131008, f"The parameter {parameter} is required.")


def wrong(parameter: str, why: str) -> Refusal:
    """Return the answer to a parameter whose value cannot be used."""
    return Refusal(131009, f"{parameter} {why}")


def invalid(parameter: str, why: str) -> Refusal:
    """Return the answer to a request that Graph refuses before WhatsApp sees it."""
    return Refusal(100, f"Param {parameter} {why}")
