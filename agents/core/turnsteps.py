"""AI, decided: the steps of a turn, from its start to its one response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from agents.core.aiagents import TRANSFER
from agents.core.aitext import bubbles, clean, whole
from agents.core.toolcalls import UNKNOWN_RESULT
from agents.core.turn import (
    Limits,
    OpenCall,
    Running,
    Turn,
    awaited,
    closed,
    known,
)
from agents.core.turnevents import Moment, response, tool_requested
from agents.core.turnmessages import (
    ARGUMENT_CHARS,
    assistant,
    back,
    distinct,
    known_links,
    opened,
    told,
)
from agents.ports import Completion, ToolUse, estimated_tokens
from schemas.changing import replace
from schemas.events import (
    Citation,
    Event,
    HandoffRequested,
    ModelCall,
    ResponseOutcome,
    ToolCallCompleted,
)

Decided = tuple[Turn, tuple[Event, ...]]

ANSWER_CHARS: Final = 12_288
CUT_SHORT: Final = "cancelled"
"""``finish_reason`` of a model call that was cancelled on its way; its tokens are estimated."""
CUT_OFF: Final = "length"
"""``finish_reason`` of an answer that had no tokens left."""
REFUSALS: Final = frozenset({"content_filter", "refusal"})
HANDED_EVEN_SO: Final = frozenset({"unavailable", UNKNOWN_RESULT, "timeout"})
"""A customer who wants a person gets one, whether or not the note about it could be written."""


def begin(  # noqa: PLR0913 - what the shell looked up, keyword-only
    state: Turn,
    handoff: HandoffRequested,
    moment: Moment,
    *,
    messages: Sequence[Mapping[str, Any]],
    prompt_version: str,
    citations: tuple[Citation, ...] = (),
    trusted: Iterable[str] = (),
    limits: Limits,
) -> Decided:
    """Start a turn; one that runs still is cancelled first, a repeated start changes nothing.

    Args:
        state: The conversation.
        handoff: What dispatch asks.
        moment: The decision.
        messages: The messages of the first model call.
        prompt_version: Version of the prompt that they are made of.
        citations: The passages that they hold.
        trusted: Texts of the company: their links, and no others, may be sent.
        limits: What the turn may use.
    """
    if known(state, handoff.turn_id, handoff.turn_seq):
        return state, ()
    state, said = cancelled(state, moment, "superseded")
    running = Running(
        turn_id=handoff.turn_id,
        turn_seq=handoff.turn_seq,
        epoch=handoff.epoch,
        agent=handoff.to_agent,
        deadline_at=handoff.deadline_at,
        prompt_version=prompt_version,
        messages=tuple(dict(message) for message in messages),
        citations=citations,
        links=known_links(trusted),
        limits=limits,
    )
    return replace(state, running=running), said


def answered(
    state: Turn, completion: Completion, moment: Moment, *, writes: frozenset[str]
) -> Decided:
    """Apply one model answer to the running turn.

    Args:
        state: The conversation; its turn is the one that was asked for.
        completion: What the model answered.
        moment: The decision.
        writes: Names of the tools that change something outside.
    """
    if state.running is None:
        return state, ()
    running = _counted(state.running, completion)
    if completion.finish_reason in REFUSALS:
        return _ended(state, running, moment, ResponseOutcome.HANDOFF, reason="refused")
    if completion.tools:
        return _tools_asked(state, running, completion.tools, moment, writes)
    text = whole(completion.text) if completion.finish_reason == CUT_OFF else completion.text
    texts = bubbles(clean(text, ANSWER_CHARS), allowed=frozenset(running.links))
    if texts:
        return _ended(state, running, moment, ResponseOutcome.ANSWERED, said=texts)
    if running.empty_answers:
        return _ended(state, running, moment, ResponseOutcome.HANDOFF, reason="empty_answer")
    return replace(state, running=replace(running, empty_answers=1)), ()


def tool_completed(state: Turn, completed: ToolCallCompleted, moment: Moment) -> Decided:
    """Apply one tool result; late, repeated and foreign ones change nothing."""
    running = state.running
    if running is None or not awaited(state, completed):
        return state, ()
    calls = tuple(
        back(call, completed) if call.call_id == completed.call_id else call
        for call in running.open_calls
    )
    effects = (completed.call_id,) if completed.side_effect else ()
    running = replace(
        running,
        open_calls=calls,
        side_effects=(*running.side_effects, *effects),
        tool_helped=running.tool_helped or completed.ok,
    )
    if any(call.content is None for call in calls):
        return replace(state, running=running), ()
    if reason := next(filter(None, map(_handed, calls)), ""):
        return _ended(state, running, moment, ResponseOutcome.HANDOFF, reason=reason)
    return replace(state, running=told(running)), ()


def cancelled(state: Turn, moment: Moment, reason: str) -> Decided:
    """End the running turn, if there is one, because nobody wants its answer any more."""
    if state.running is None:
        return state, ()
    return _ended(state, state.running, moment, ResponseOutcome.CANCELLED, reason=reason)


def cut_short(
    state: Turn,
    moment: Moment,
    outcome: ResponseOutcome,
    reason: str,
    *,
    requested_ms: int,
    stopped_ms: int,
) -> Decided:
    """End the running turn whose model call was cancelled on its way.

    The provider has read the prompt and charges for it, but says no figure any more: it is
    estimated, and the call is on the response like every other.

    Args:
        state: The conversation.
        moment: The decision.
        outcome: How the turn ends.
        reason: Why nobody wants the answer any more.
        requested_ms: When the call was made, Unix milliseconds.
        stopped_ms: When it was cancelled.
    """
    if state.running is None:
        return state, ()
    cut = Completion(
        text="",
        tools=(),
        model=state.running.model,
        prompt_tokens=estimated_tokens(state.running.messages),
        completion_tokens=0,
        finish_reason=CUT_SHORT,
        requested_at_ms=requested_ms,
        answered_at_ms=stopped_ms,
    )
    return _ended(state, _counted(state.running, cut), moment, outcome, reason=reason)


def cancel_asked(state: Turn, cancel: HandoffRequested, moment: Moment) -> Decided:
    """Apply a cancel.

    A turn that had its response is left alone. A turn that never began here (its start
    was parked) is answered too: dispatch waits for a response of every turn it started.
    """
    running = state.running
    if running is not None and running.turn_id == cancel.turn_id:
        return cancelled(state, moment, cancel.reason)
    if known(state, cancel.turn_id, cancel.turn_seq):
        return state, ()
    return stillborn(state, cancel, moment, ResponseOutcome.CANCELLED, cancel.reason)


def stillborn(
    state: Turn, handoff: HandoffRequested, moment: Moment, outcome: ResponseOutcome, reason: str
) -> Decided:
    """Answer a turn for which the model was never asked."""
    unborn = Running(
        turn_id=handoff.turn_id,
        turn_seq=handoff.turn_seq,
        epoch=handoff.epoch,
        agent=handoff.to_agent,
        deadline_at=handoff.deadline_at,
    )
    said = response(state, unborn, moment, outcome, reason=reason)
    return replace(closed(state, handoff.turn_id, handoff.turn_seq), running=state.running), (said,)


def declined(
    state: Turn, handoff: HandoffRequested, moment: Moment, outcome: ResponseOutcome, reason: str
) -> Decided:
    """Answer a start for which the model will not be asked; a turn that runs is cancelled."""
    if known(state, handoff.turn_id, handoff.turn_seq):
        return state, ()
    state, said = cancelled(state, moment, "superseded")
    state, more = stillborn(state, handoff, moment, outcome, reason)
    return state, (*said, *more)


def gave_up(state: Turn, moment: Moment, outcome: ResponseOutcome, reason: str) -> Decided:
    """End the running turn without an answer of the model."""
    if state.running is None:
        return state, ()
    return _ended(state, state.running, moment, outcome, reason=reason)


def _ended(
    state: Turn,
    running: Running,
    moment: Moment,
    outcome: ResponseOutcome,
    *,
    reason: str = "",
    said: tuple[str, ...] = (),
) -> Decided:
    event = response(state, running, moment, outcome, reason=clean(reason, 64), bubbles=said)
    return closed(state, running.turn_id, running.turn_seq), (event,)


def _counted(running: Running, completion: Completion) -> Running:
    call = ModelCall(
        step=running.step + 1,
        model=clean(completion.model, 64),
        prompt_version=running.prompt_version,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        duration_ms=max(0, completion.answered_at_ms - completion.requested_at_ms),
        finish_reason=clean(completion.finish_reason, 32),
        requested_at=completion.requested_at_ms,
        answered_at=completion.answered_at_ms,
    )
    return replace(
        running,
        step=call.step,
        model=call.model,
        prompt_tokens=running.prompt_tokens + call.prompt_tokens,
        completion_tokens=running.completion_tokens + call.completion_tokens,
        unreported=(*running.unreported, call),
    )


def _tools_asked(
    state: Turn,
    running: Running,
    uses: Sequence[ToolUse],
    moment: Moment,
    writes: frozenset[str],
) -> Decided:
    """Ask for the tools; those over the bound of a step are forgotten, as if never named."""
    if running.step >= running.limits.steps:
        return _ended(state, running, moment, ResponseOutcome.HANDOFF, reason="step_limit")
    kept = distinct(uses)
    calls = tuple(opened(running, ordinal, use, writes) for ordinal, use in enumerate(kept))
    arguments = tuple(clean(use.arguments, ARGUMENT_CHARS) for use in kept)
    asked = replace(
        running,
        messages=(*running.messages, assistant(calls, arguments)),
        open_calls=calls,
        tool_calls=(*running.tool_calls, *(call.call_id for call in calls)),
    )
    said = tuple(
        tool_requested(state, asked, call, text, moment)
        for call, text in zip(calls, arguments, strict=True)
    )
    return replace(state, running=replace(asked, unreported=asked.unreported[:-1])), said


def _handed(call: OpenCall) -> str:
    """Return why a result gives the turn to a person; a doubt, since a model would ask again."""
    if call.tool == TRANSFER and (call.ok or call.error in HANDED_EVEN_SO):
        return f"tool:{TRANSFER}"
    return f"tool:{UNKNOWN_RESULT}" if call.writes and call.error == UNKNOWN_RESULT else ""
