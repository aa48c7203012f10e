"""What the AI stage and the tools say to each other and to dispatch."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from schemas.events.envelope import Envelope, Millis


class ResponseOutcome(StrEnum):
    """How a turn ended at the AI stage."""

    UNKNOWN = "unknown"
    ANSWERED = "answered"
    HANDOFF = "handoff"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Citation(Struct, frozen=True, kw_only=True):
    """A passage that the model was given.

    Attributes:
        passage_id: Id of the passage in the knowledge base.
        source: Document it is from.
        score: Similarity to the question, 0 to 1.
        sha256: Hash of the passage's text at that time, hex.
    """

    passage_id: str
    source: str
    score: float
    sha256: str


class ModelCall(Struct, frozen=True, kw_only=True):
    """One call of the model, as it was made.

    Attributes:
        step: Number of the call in its turn, from 1.
        model: Model that answered.
        prompt_version: Version of the prompt, a short hash.
        prompt_tokens: Tokens in.
        completion_tokens: Tokens out.
        duration_ms: How long it took.
        finish_reason: Why the model stopped, as the provider says it.
        requested_at: When the request was sent.
        answered_at: When the answer was complete.
    """

    step: int
    model: str
    prompt_version: str
    prompt_tokens: int
    completion_tokens: int
    duration_ms: int
    finish_reason: str
    requested_at: Millis
    answered_at: Millis


class ToolCallRequested(Envelope, frozen=True, kw_only=True):
    """The model asks for a tool; one record for each call.

    Attributes:
        turn_id: The turn.
        turn_seq: Number of the turn in its conversation.
        epoch: Epoch of the conversation when the turn began.
        call_id: UUID of the call.
        model_call_id: The provider's id of the call.
        step: Number of the model call that asked for it, from 1.
        agent: The agent that asked: its permissions apply.
        tool: Name of the tool.
        arguments: Arguments as the model wrote them (JSON).
        model_call: The model call whose answer asked for this tool.
        citations: The passages that the model was given in that call.
        deadline_at: When the result is no longer wanted.
    """

    turn_id: str
    turn_seq: int
    epoch: int
    call_id: str
    model_call_id: str
    step: int
    agent: str
    tool: str
    arguments: str
    model_call: ModelCall | None = None
    citations: tuple[Citation, ...] = ()
    deadline_at: Millis


class ToolCallCompleted(Envelope, frozen=True, kw_only=True):
    """What a tool gave, or why it refused.

    Attributes:
        turn_id: The turn.
        epoch: Epoch of the conversation when the turn began.
        call_id: UUID of the call.
        step: Number of the model call that asked for it.
        tool: Name of the tool.
        ok: False when the tool refused or failed; the model sees why.
        content: What the model is told (JSON), bounded.
        error: Short code of a refusal, such as ``bad_arguments``.
        side_effect: True when the tool changed something outside.
        duration_ms: How long it took.
    """

    turn_id: str
    epoch: int
    call_id: str
    step: int
    tool: str
    ok: bool
    content: str
    error: str | None = None
    side_effect: bool = False
    duration_ms: int = 0


class ResponseGenerated(Envelope, frozen=True, kw_only=True):
    """How a turn ended at the AI stage; exactly one for each turn.

    Attributes:
        turn_id: The turn.
        turn_seq: Number of the turn in its conversation.
        epoch: Epoch of the conversation when the turn began.
        agent: The agent that worked on it.
        outcome: How it ended.
        bubbles: Texts to send, in order.
        handoff_to: Who should go on, when the agent handed the turn over.
        reason: Why, as a short code, when it is not an answer.
        prompt_version: Version of the prompt, a short hash.
        model: Model that answered last.
        calls: The last call of the model; earlier ones are on the tool requests.
        prompt_tokens: Tokens in, of the whole turn.
        completion_tokens: Tokens out, of the whole turn.
        citations: The passages that the model was given.
        confidence: How sure the pipeline is of the answer, 0 to 1.
        tool_calls: Ids of the tool calls of the turn.
        side_effects: Ids of those that changed something outside.
    """

    turn_id: str
    turn_seq: int
    epoch: int
    agent: str
    outcome: ResponseOutcome
    bubbles: tuple[str, ...] = ()
    handoff_to: str | None = None
    reason: str = ""
    prompt_version: str = ""
    model: str = ""
    calls: tuple[ModelCall, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    citations: tuple[Citation, ...] = ()
    confidence: float = 0.0
    tool_calls: tuple[str, ...] = ()
    side_effects: tuple[str, ...] = ()
