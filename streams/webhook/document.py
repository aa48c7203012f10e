"""What the webhook's OpenAPI document says beside the routes: a sender can be written from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from streams.webhook.pushes import Push

Responses = dict[int | str, dict[str, Any]]

_UNREAD: Final[Responses] = {
    408: {"description": "The body came too slowly."},
    413: {"description": "The body is larger than 3 MB."},
    415: {"description": "The body is compressed."},
    503: {
        "description": "Kafka or Postgres is down; deliver again later.",
        "headers": {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}
        },
    },
}


class Taken(BaseModel):
    """The event of a push is on the log."""

    event_id: str


class Fault(BaseModel):
    """What is wrong with one field."""

    field: str
    problem: str


class Refusal(BaseModel):
    """Why a push is refused, as a code."""

    error: str
    faults: list[Fault] | None = None


VERIFIED: Final[Responses] = {
    200: {
        "description": "The challenge, as it came.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    },
    403: {"description": "The token is wrong or a parameter is missing."},
    404: {"description": "No such app."},
    503: _UNREAD[503],
}
RECEIVED: Final[Responses] = {
    200: {"description": "The log has all of it."},
    401: {"description": "The signature is wrong."},
    404: {"description": "No such app."},
    **_UNREAD,
}
PUSHED: Final[Responses] = {
    200: {"model": Taken, "description": "The event is on the log."},
    400: {"model": Refusal, "description": "The body is not JSON."},
    401: {"description": "The signature is wrong or older than five minutes."},
    404: {"description": "No such producer."},
    422: {
        "model": Refusal,
        "description": "The payload is none of version 1; the answer names what is wrong.",
    },
    **_UNREAD,
}


def _parameter(name: str, place: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "required": True, "schema": {"type": "string", **schema}}


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _whole(schema: Any, parts: Mapping[str, Any]) -> Any:
    """Return a schema without references: those of pydantic name no place of the document."""
    if isinstance(schema, list):
        return [_whole(each, parts) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _whole(parts[schema["$ref"].removeprefix("#/$defs/")], parts)
    return {key: _whole(value, parts) for key, value in schema.items() if key != "$defs"}


def _push() -> dict[str, Any]:
    schema = TypeAdapter[Any](Push).json_schema()
    whole: dict[str, Any] = _whole(schema, schema["$defs"])
    return whole


_APP: Final = _parameter("app_id", "path", pattern="^[A-Za-z0-9_-]{1,64}$")

VERIFY: Final[dict[str, Any]] = {
    "parameters": [
        _APP,
        _parameter("hub.mode", "query", enum=["subscribe"]),
        _parameter("hub.verify_token", "query"),
        _parameter("hub.challenge", "query", pattern="^[\x21-\x7e]{1,256}$"),
    ]
}
RECEIVE: Final[dict[str, Any]] = {
    "parameters": [
        _APP,
        _parameter("X-Hub-Signature-256", "header", pattern="^sha256=[0-9a-f]{64}$"),
    ],
    "requestBody": _json(
        {"description": "Any JSON: what Meta does not document is kept as a dead letter."}
    ),
}
PUSH: Final[dict[str, Any]] = {
    "parameters": [
        _parameter("producer", "path", pattern="^[a-z0-9][a-z0-9_-]{0,39}$"),
        _parameter("webhook-id", "header", pattern="^[\x21-\x7e]{1,256}$"),
        _parameter("webhook-timestamp", "header", pattern="^[0-9]{1,16}$"),
        _parameter("webhook-signature", "header"),
    ],
    "requestBody": _json(_push()),
}
"""Parameters and bodies, which the routes read by themselves."""
