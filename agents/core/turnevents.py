"""The records that a turn causes, with their ids and their cause."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from agents.core.sequels import caused_by
from agents.core.turn import OpenCall, Running, Turn
from schemas.events import (
    Envelope,
    Event,
    ModelCall,
    Position,
    ResponseGenerated,
    ResponseOutcome,
    ToolCallRequested,
)
from schemas.ids import derived


class Moment(Struct, frozen=True, kw_only=True):
    """The event that is being decided, and when.

    Attributes:
        event: The event.
        source: Where it stands in the log.
        now_ms: Time of the decision, Unix milliseconds.
        settings_version: Version of the tenant's settings in use; 0 is none.
    """

    event: Event
    source: Position
    now_ms: int
    settings_version: int = 0


def envelope(
    seq: int, moment: Moment, name: str, part: object, idempotency_key: str
) -> dict[str, Any]:
    """Return the envelope of a record that a decision causes.

    Args:
        seq: Number of the step in this conversation at this stage.
        moment: The decision.
        name: Topic of the record.
        part: Tells the records of that topic apart that this decision causes.
        idempotency_key: Natural id of what the record says.
    """
    cause: Envelope = moment.event
    return {
        "event": name,
        "event_id": derived(cause.event_id, name, part),
        "trace_id": cause.trace_id,
        "tenant_id": cause.tenant_id,
        "conversation_id": cause.conversation_id,
        "customer_id": cause.customer_id,
        "idempotency_key": idempotency_key,
        "occurred_at": moment.now_ms,
        "cause": caused_by(
            moment.source, seq=seq, now_ms=moment.now_ms, settings_version=moment.settings_version
        ),
    }


def tool_requested(
    state: Turn, running: Running, call: OpenCall, arguments: str, moment: Moment
) -> ToolCallRequested:
    """Return the request of one tool call of the newest step."""
    made = running.unreported[-1] if running.unreported else None
    return ToolCallRequested(
        **envelope(
            state.seq,
            moment,
            "tools.call.requested",
            running.tool_calls.index(call.call_id),
            call.call_id,
        ),
        turn_id=running.turn_id,
        turn_seq=running.turn_seq,
        epoch=running.epoch,
        call_id=call.call_id,
        model_call_id=call.model_call_id,
        step=running.step,
        agent=running.agent,
        tool=call.tool,
        arguments=arguments,
        model_call=made,
        citations=running.citations,
        deadline_at=running.deadline_at,
    )


def response(
    state: Turn,
    running: Running,
    moment: Moment,
    outcome: ResponseOutcome,
    *,
    reason: str = "",
    bubbles: tuple[str, ...] = (),
) -> ResponseGenerated:
    """Return the one response of a turn."""
    given = envelope(
        state.seq, moment, "agent.ai.response.generated", running.turn_id, running.turn_id
    )
    given["occurred_at"] = max(moment.now_ms, _answered_at(running.unreported))
    return ResponseGenerated(
        **given,
        turn_id=running.turn_id,
        turn_seq=running.turn_seq,
        epoch=running.epoch,
        agent=running.agent,
        outcome=outcome,
        bubbles=bubbles,
        handoff_to="human" if outcome is ResponseOutcome.HANDOFF else None,
        reason=reason,
        prompt_version=running.prompt_version,
        model=running.model,
        calls=running.unreported,
        prompt_tokens=running.prompt_tokens,
        completion_tokens=running.completion_tokens,
        citations=running.citations,
        confidence=confidence(running) if outcome is ResponseOutcome.ANSWERED else 0.0,
        tool_calls=running.tool_calls,
        side_effects=_touched(running),
    )


def confidence(running: Running) -> float:
    """Return how sure the pipeline is of an answer, 0 to 1.

    Seven parts the best passage, three parts the mean of the best three; a result of a
    tool counts as a passage with score 0.9. Memories are no source of an answer.
    """
    scores = [cited.score for cited in running.citations if cited.source != "memory"]
    best = sorted((*scores, *((0.9,) if running.tool_helped else ())), reverse=True)[:3]
    if not best:
        return 0.0
    blended: float = 0.7 * best[0] + 0.3 * sum(best) / len(best)
    return float(round(min(1.0, max(0.0, blended)), 3))


def _answered_at(calls: tuple[ModelCall, ...]) -> int:
    return max((call.answered_at for call in calls), default=0)


def _touched(running: Running) -> tuple[str, ...]:
    """Return the calls that changed something, or that may yet: their result is not back."""
    pending = (call.call_id for call in running.open_calls if call.writes and call.content is None)
    return tuple(dict.fromkeys((*running.side_effects, *pending)))
