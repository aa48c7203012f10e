from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from streams.local.simulator.refusals import BAD_REQUEST, TITLES, Refusal, plain
from streams.local.simulator.tokens import Tokens, TokenState

FORM = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code", "fbtrace_id"],
            "additionalProperties": False,
            "properties": {
                "message": {"type": "string", "minLength": 1},
                "type": {"enum": ["OAuthException", "GraphMethodException"]},
                "code": {"type": "integer"},
                "error_subcode": {"type": "integer"},
                "error_data": {
                    "type": "object",
                    "required": ["messaging_product", "details"],
                    "additionalProperties": False,
                    "properties": {
                        "messaging_product": {"const": "whatsapp"},
                        "details": {"type": "string", "minLength": 1},
                    },
                },
                "fbtrace_id": {"type": "string", "minLength": 1},
            },
        }
    },
}
"""Source: Meta, "WhatsApp Cloud API: Error codes", "Error response contents"."""


def judged(refusal: Refusal) -> dict[str, Any]:
    body = refusal.body("sim1")
    jsonschema.validate(body, FORM)
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize("code", TITLES)
def test_every_refusal_has_metas_form(code: int) -> None:
    error = judged(plain(code))

    assert error["code"] == code
    assert error["message"] == f"(#{code}) {TITLES[code]}"
    assert "error_subcode" not in error


@pytest.mark.parametrize("state", [state for state in TokenState if state is not TokenState.VALID])
def test_every_end_of_a_token_has_metas_form(state: TokenState) -> None:
    tokens = Tokens()
    tokens.set("planted", state, now_ms=0)
    refusal = tokens.refusal("Bearer planted", at_ms=1)

    assert refusal is not None
    assert judged(refusal)["code"] in {10, 190}
    assert refusal.status in {401, 403}


def test_rates_are_told_by_code_not_by_status() -> None:
    assert {plain(code).status for code in (130429, 131056, 131048, 131047)} == {BAD_REQUEST}
