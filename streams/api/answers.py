"""What the people's API answers: the shapes of its OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel


class Accepted(BaseModel):
    """The event of a request is on the log."""

    event_id: str
    conversation_id: str


class Listed(BaseModel):
    """A company's conversations, the newest first."""

    conversations: list[ListedConversation]


class ListedConversation(BaseModel):
    """Where a conversation of a list stands; times are Unix milliseconds."""

    ticket_id: int
    conversation_id: str
    status: str
    chatbot: bool
    phase: str
    owner: str | None
    agent_user: str | None
    unread: int
    last_message: str
    last_from_me: bool
    updated_ms: int
    takeover_pending: bool
    customer: str | None


class Whole(BaseModel):
    """A conversation with its newest messages, turns and outcomes, the oldest first."""

    conversation: Standing | None
    messages: list[Message]
    turns: list[Turn]
    outcomes: list[Outcome]


class Standing(BaseModel):
    """Where a conversation stands."""

    ticket_id: int
    status: str
    chatbot: bool
    updated_ms: int
    tenant_id: str
    conversation_id: str
    customer_id: str
    phone_number_id: str
    seq: int
    phase: str
    epoch: int
    turn_seq: int
    owner: str | None
    agent_user: str | None
    intent: str | None
    decision: str
    reason: str
    takeover_pending: bool
    unread: int
    window_expires_ms: int | None
    customer: str | None


class Message(BaseModel):
    """One message, the customer's or ours."""

    id: str
    wamid: str | None
    from_me: bool
    author: str
    kind: str
    body: str | None
    state: str
    attempt: int
    error_code: int
    reason: str
    turn_id: str | None
    at_ms: int


class Turn(BaseModel):
    """One turn of the AI."""

    turn_id: str
    turn_seq: int
    epoch: int
    owner: str | None
    decision: str
    reason: str
    began_ms: int
    changed_ms: int


class Outcome(BaseModel):
    """How one message of the customer ended."""

    wamid: str
    outcome: str
    reason: str
    turn_id: str | None
    at_ms: int


class Refusal(BaseModel):
    """Why a request is refused, as a code."""

    error: str


class Problem(BaseModel):
    """What is wrong with one field."""

    field: str
    problem: str


class Invalid(Refusal):
    """A request that is not as documented."""

    problems: list[Problem]


class Down(Refusal):
    """A part that does not answer."""

    service: str


Listed.model_rebuild()
Whole.model_rebuild()

RETRY: Final = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}}
REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": Refusal, "description": "The body cannot be read."},
    401: {"model": Refusal, "description": "The bearer token is missing or wrong."},
    404: {"model": Refusal, "description": "No such conversation."},
    413: {"description": "The body is larger than any request."},
    422: {"model": Invalid, "description": "The request is not as documented."},
    503: {"model": Down, "description": "Kafka or Postgres is down; ask again.", "headers": RETRY},
}
"""What every request may be answered with; asking again with the same key changes nothing."""
