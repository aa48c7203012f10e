"""The running turn of a conversation at the AI stage: its state.

Rule 1: every turn that was started or cancelled ends in exactly one ``ResponseGenerated``;
``finished`` (and, for what it forgot, ``forgotten_seq``) tells a repetition from a new turn.
Rule 2: a model call's result is in the events that it caused and in this state, nowhere else.
Rule 3: the state is bounded, whatever the model, the tools and the customer say: what others
wrote is cut where it enters (``agents.core.prompt``, ``agents.core.turnsteps``).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct, field

from agents.ports import estimated_tokens
from schemas.changing import replace
from schemas.errors import Rejected
from schemas.events import Citation, Envelope, ModelCall, ToolCallCompleted

REMEMBERED_TURNS: Final = 16
MIN_ANSWER_TOKENS: Final = 64
"""With fewer tokens left of the budget, a call could not give a usable answer."""


class Limits(Struct, frozen=True, kw_only=True):
    """What one turn may use.

    Attributes:
        steps: Most model calls.
        tokens: Most tokens, in and out together.
        answer_tokens: Most tokens of one answer.
    """

    steps: int = 6
    tokens: int = 20_000
    answer_tokens: int = 600


class OpenCall(Struct, frozen=True, kw_only=True):
    """A tool call of the current step.

    Attributes:
        call_id: UUID of the call.
        model_call_id: The id that the model knows it by.
        tool: Name of the tool.
        writes: True when the tool changes something outside.
        content: What the tool gave; None until it is back.
        ok: Whether it did what it was asked.
        error: Short code of a refusal.
    """

    call_id: str
    model_call_id: str
    tool: str
    writes: bool = False
    content: str | None = None
    ok: bool = False
    error: str | None = None


class Running(Struct, frozen=True, kw_only=True):
    """A turn between its start and its response.

    Attributes:
        turn_id: UUID of the turn.
        turn_seq: Number of the turn in its conversation.
        epoch: Epoch of the conversation when it began.
        agent: The agent that works on it.
        deadline_at: When the answer is no longer wanted, Unix milliseconds.
        prompt_version: Version of the prompt.
        messages: What the model has been told, in chat form, oldest first.
        citations: The passages that it was given.
        links: Links that its answer may hold.
        limits: What the turn may use.
        step: Number of model calls so far.
        empty_answers: How many of them said nothing.
        prompt_tokens: Tokens in, so far.
        completion_tokens: Tokens out, so far.
        model: Model that answered last.
        unreported: Model calls that no event carries yet.
        open_calls: Tool calls of the current step; empty while the model is to be asked.
        tool_calls: Ids of all tool calls.
        side_effects: Ids of those that changed something outside.
        tool_helped: True once a tool gave a result.
        tool_chars: Characters of tool results in ``messages``.
    """

    turn_id: str
    turn_seq: int
    epoch: int
    agent: str
    deadline_at: int
    prompt_version: str = ""
    messages: tuple[dict[str, Any], ...] = ()
    citations: tuple[Citation, ...] = ()
    links: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    step: int = 0
    empty_answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model: str = ""
    unreported: tuple[ModelCall, ...] = ()
    open_calls: tuple[OpenCall, ...] = ()
    tool_calls: tuple[str, ...] = ()
    side_effects: tuple[str, ...] = ()
    tool_helped: bool = False
    tool_chars: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of the turn so far, in and out."""
        return self.prompt_tokens + self.completion_tokens


class Finished(Struct, frozen=True, kw_only=True):
    """A turn that has had its response.

    Attributes:
        turn_id: UUID of the turn.
        turn_seq: Number of the turn in its conversation.
    """

    turn_id: str
    turn_seq: int


class Turn(Struct, frozen=True, kw_only=True):
    """State of the AI stage for one conversation.

    Attributes:
        tenant_id: The company.
        conversation_id: The conversation.
        customer_id: The customer.
        seq: Number of the last step, from 1.
        timers: Always empty: dispatch watches the turn's deadline and cancels.
        running: The turn that runs, if one does.
        finished: The newest turns that had their response, oldest first.
        forgotten_seq: Highest turn number that ``finished`` no longer remembers.
    """

    tenant_id: str
    conversation_id: str
    customer_id: str
    seq: int = 0
    timers: dict[str, int] = field(default_factory=dict)
    running: Running | None = None
    finished: tuple[Finished, ...] = ()
    forgotten_seq: int = 0


def stepped(state: Turn | None, event: Envelope) -> Turn:
    """Return the state with one more step; a new one for the first event of a conversation.

    Raises:
        Rejected: The event belongs to another conversation.
    """
    if state is None:
        return Turn(
            tenant_id=event.tenant_id,
            conversation_id=event.conversation_id,
            customer_id=event.customer_id,
            seq=1,
        )
    if (state.tenant_id, state.conversation_id) != (event.tenant_id, event.conversation_id):
        raise Rejected("wrong_conversation")
    return replace(state, seq=state.seq + 1)


def known(state: Turn, turn_id: str, turn_seq: int) -> bool:
    """Tell whether a turn runs or has had its response: then a start of it is a repetition."""
    if state.running is not None and state.running.turn_id == turn_id:
        return True
    return turn_seq <= state.forgotten_seq or any(
        past.turn_id == turn_id for past in state.finished
    )


def closed(state: Turn, turn_id: str, turn_seq: int) -> Turn:
    """Return the state after a turn's response; the oldest memory makes room."""
    finished = (*state.finished, Finished(turn_id=turn_id, turn_seq=turn_seq))
    forgotten = finished[:-REMEMBERED_TURNS]
    return replace(
        state,
        running=None,
        finished=finished[-REMEMBERED_TURNS:],
        forgotten_seq=max((state.forgotten_seq, *(past.turn_seq for past in forgotten))),
    )


def thinking(state: Turn) -> Running | None:
    """Return the turn whose next move is a model call, if there is one."""
    running = state.running
    return running if running is not None and not running.open_calls else None


def awaited(state: Turn, completed: ToolCallCompleted) -> bool:
    """Tell whether a tool's result is one that the running turn waits for."""
    running = state.running
    return (
        running is not None
        and running.turn_id == completed.turn_id
        and any(
            call.call_id == completed.call_id and call.content is None
            for call in running.open_calls
        )
    )


def exhausted(running: Running, now_ms: int) -> str | None:
    """Return why no further model call may be made, as a short code, or None."""
    if now_ms >= running.deadline_at:
        return "deadline"
    if running.step >= running.limits.steps:
        return "step_limit"
    if left_tokens(running) < MIN_ANSWER_TOKENS:
        return "token_budget"
    return None


def left_tokens(running: Running) -> int:
    """Return the tokens of the turn's budget that are left for what the next call gives."""
    return running.limits.tokens - running.tokens - estimated_tokens(running.messages)
